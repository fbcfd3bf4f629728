"""Around every request: an id, a bounded body, careful headers, a log line, and an answer to the unforeseen.

Plain ASGI, because a middleware that wraps request and response objects costs more than the rest of a small request.
"""

import asyncio
import re
import secrets
import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import BodyTooLargeError, BrokenOffError, problem_of, unexpected
from app.api.headers import with_careful_headers
from app.api.leaving import has_left
from app.telemetry.events import Event
from app.telemetry.redaction import Harmless
from app.telemetry.requests import Requests

BODY_LIMIT = 64 * 1024
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

PROBES = frozenset({"/livez", "/readyz", "/api/v1/health", "/metrics"})
"""Asked every few seconds by programs: logged at DEBUG, unless they fail."""

log = structlog.get_logger(__name__)


class BodyLimit:
    """Counts a body while it streams, whatever Content-Length says. The reader raises `BodyTooLargeError`."""

    def __init__(self, app: ASGIApp, limit: int = BODY_LIMIT) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        left = self._limit

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise BodyTooLargeError
            return message

        await self._app(scope, counted, send)


class RequestContext:
    """Gives each request its id (X-Request-ID, taken over or made), binds it for the log, answers the unforeseen, and
    has it counted."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        status: int | None = None

        async def completed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = with_careful_headers(message["headers"], request_id.encode(), scope["scheme"])
            await send(message)

        began = time.monotonic()
        self._requests.began()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        try:
            await self._app(scope, receive, completed)
        except asyncio.CancelledError:
            if status is not None:
                raise
            await problem_of(BrokenOffError())(scope, receive, completed)  # nothing else breaks a request off
        except Exception:
            log.exception(Event.REQUEST_FAILED, method=scope["method"], path=scope["path"])
            if status is not None:
                raise
            await unexpected()(scope, receive, completed)
        finally:
            route, seconds = route_of(scope), time.monotonic() - began
            got = None if has_left(scope) else status
            self._requests.ended(route, scope["method"], got, seconds)
            _tell(scope, route, got, seconds)


def _tell(scope: Scope, route: str | None, status: int | None, seconds: float) -> None:
    """One line a request. The route and not the address, which may hold what is nobody's business, and never a query.

    `status` None: the client was gone before its answer began.
    """
    client = scope.get("client")
    told = {
        "method": Harmless(scope["method"]) if route else scope["method"],
        "route": route and Harmless(route),
        "status": status,
        "ms": round(seconds * 1000, 1),
        "client": client and Harmless(client[0]),
    }
    if route in PROBES and status is not None and status < 400:
        log.debug(Event.REQUEST_ANSWERED, **told)
    else:
        log.info(Event.REQUEST_ANSWERED, **told)


def route_of(scope: Scope) -> str | None:
    """The path with the names of its parameters; None when nothing has it. A mounted application adds its prefix."""
    path = getattr(scope.get("route"), "path", None)
    return None if path is None else f"{scope.get('root_path', '')}{path}"


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return str(value, "ascii")
    return Harmless(secrets.token_hex(8))
