"""Around every request: an id, a bounded body, careful headers, and an answer when something unforeseen happens.

Plain ASGI, because a middleware that wraps request and response objects costs more than the rest of a small request.
"""

import re
import secrets

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import BodyTooLargeError, unexpected
from app.telemetry.events import Event

BODY_LIMIT = 64 * 1024
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
"""For answers that are data. A page that needs more sets its own, which stays."""

_PLAIN_HEADERS = [(name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]

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
    """Gives each request its id (X-Request-ID, taken over or made), binds it for the log, answers the unforeseen."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        started = False

        async def completed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                _add_headers(message, request_id)
            await send(message)

        structlog.contextvars.bind_contextvars(request_id=request_id.decode())
        try:
            await self._app(scope, receive, completed)
        except Exception:
            log.exception(Event.REQUEST_FAILED, method=scope["method"], path=scope["path"])
            if started:
                raise
            await unexpected()(scope, receive, completed)


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return secrets.token_hex(8).encode()


def _add_headers(message: Message, request_id: bytes) -> None:
    present = {name for name, _ in message["headers"]}
    added = [header for header in _PLAIN_HEADERS if header[0] not in present]
    message["headers"] = [*message["headers"], *added, (b"x-request-id", request_id)]
