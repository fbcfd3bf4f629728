"""What of the API is there, for whom, and where."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import Problem
from app.api.proxies import Network, ProxyHeaders

MetricsAccess = Literal["key", "open", "off"]

METRICS = "/metrics"

PROBES = ("/livez", "/readyz")


@dataclass(frozen=True, slots=True)
class Surface:
    """`jobs` False: the routes for operators alone. `metrics_port`: they are there, and nothing else but probes."""

    jobs: bool = True
    documentation: bool = True
    metrics: MetricsAccess = "key"
    metrics_port: int | None = None
    trusted_proxies: Sequence[Network] = ()
    proxy_headers: ProxyHeaders = "x-forwarded"
    allowed_origins: Sequence[str] = ()


class MetricsApart:
    """ASGI middleware: metrics at a port of their own, by the local address of the connection; no header moves them."""

    def __init__(self, app: ASGIApp, port: int) -> None:
        self._app = app
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES or self._is_at_its_port(scope):
            await self._app(scope, receive, send)
        else:
            await no_such_path()(scope, receive, send)

    def _is_at_its_port(self, scope: Scope) -> bool:
        server = scope.get("server")
        return bool(server and server[1] == self._port) is bool(scope["path"] == METRICS)


def no_such_path() -> Problem:
    """404, for what is not there at all."""
    return Problem("no-such-path", 404, "Not found", "There is nothing at this path. See /openapi.json.")
