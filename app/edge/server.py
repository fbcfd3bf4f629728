"""The server that runs the application, from inside: what it is told depends on who started it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import structlog
import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.edge.bounds import Bounds
from app.edge.clock import ConnectionClock
from app.edge.connection import BoundedConnection
from app.telemetry.events import Event

log = structlog.get_logger(__name__)

GRACEFUL_SECONDS = 3
"""For requests under way at a stop; 15 s for pages in flight follow, and an orderly stop ends within 25 s."""


class PortTakenError(Exception):
    """The second port cannot be had."""


def running_server() -> uvicorn.Server | None:
    """The server of this process. The application is never given it; but the handler of SIGTERM is its method."""
    return server_behind(signal.getsignal(signal.SIGTERM))


def server_behind(handler: object) -> uvicorn.Server | None:
    """The server whose method a signal handler is."""
    server = getattr(handler, "__self__", None)
    return server if isinstance(server, uvicorn.Server) else None


def bound_connections(server: uvicorn.Server, bounds: Bounds) -> None:
    """Before it listens: `bounds` hold for its connections, a stop does not wait for ever for clients, and it neither
    names itself nor believes proxies.

    Whom to believe is TRUSTED_PROXIES' alone. Another protocol class that somebody chose stays, unbounded, with a word.
    """
    config = server.config
    if config.timeout_graceful_shutdown is None:
        config.timeout_graceful_shutdown = GRACEFUL_SECONDS
    config.encoded_headers = [header for header in config.encoded_headers if header != (b"server", b"uvicorn")]
    if isinstance(config.loaded_app, ProxyHeadersMiddleware):
        config.loaded_app = config.loaded_app.app
    if config.http_protocol_class is HttpToolsProtocol:
        made = partial(BoundedConnection, bounds=bounds, clock=ConnectionClock())
        config.http_protocol_class = cast("type[asyncio.Protocol]", made)
    else:
        log.warning(Event.CONNECTIONS_UNBOUNDED, protocol=config.http_protocol_class.__name__)


@asynccontextmanager
async def listening_apart(server: uvicorn.Server | None, host: str, port: int | None) -> AsyncIterator[None]:
    """The same server at a second port as well, if there is one. Raises PortTakenError."""
    if server is None or port is None:
        yield
        return
    protocol: Callable[..., asyncio.Protocol] = server.config.http_protocol_class
    if isinstance(protocol, partial):
        protocol = partial(protocol, bounds=protocol.keywords["bounds"].with_room_for_operators())
    made = partial(protocol, config=server.config, server_state=server.server_state, app_state={})
    try:
        second = await asyncio.get_running_loop().create_server(made, host, port, backlog=server.config.backlog)
    except OSError as error:
        raise PortTakenError(
            f"METRICS_PORT: cannot listen on {host}:{port} ({error.strerror}): choose another"
        ) from error
    log.info(Event.METRICS_LISTENING, host=host, port=port)
    async with second:
        yield
