"""Requests as the first spans of traces. A job belongs to the span of the request that brought it."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.leaving import has_left
from app.api.middleware import PROBES, route_of
from app.telemetry import conventions, tracing
from app.telemetry.requests import GONE
from app.telemetry.tracing import Span

SERVER_FAULT = 500


class ServerSpans:
    """ASGI middleware: goes on with the trace of a caller who sends `traceparent`, or begins one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not tracing.is_on() or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        with _begun(scope) as span:
            await self._app(scope, receive, _watched(send, scope, span) if span.recording else send)


def _begun(scope: Scope) -> Span:
    method = _method(scope)
    attributes = {conventions.HTTP_REQUEST_METHOD: method, conventions.URL_SCHEME: scope["scheme"]}
    return tracing.server_span(conventions.server_span_name(method), _traceparent(scope), attributes)


def _watched(send: Send, scope: Scope, span: Span) -> Send:
    async def watched(message: Message) -> None:
        if message["type"] == "http.response.start":
            _tell(span, scope, message)
        await send(message)

    return watched


def _tell(span: Span, scope: Scope, message: Message) -> None:
    """Once the answer begins, and with it the route and the request's id are known."""
    span.tell({conventions.REQUEST_ID: dict(message["headers"]).get(b"x-request-id", b"").decode()})
    if (route := route_of(scope)) is not None:
        span.rename(conventions.server_span_name(_method(scope), route))
        span.tell({conventions.HTTP_ROUTE: route})
    if has_left(scope):
        span.failed(GONE)
    else:
        _tell_status(span, message["status"])


def _tell_status(span: Span, status: int) -> None:
    span.tell({conventions.HTTP_RESPONSE_STATUS_CODE: status})
    if status >= SERVER_FAULT:
        span.failed(str(status))


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in conventions.METHODS else conventions.OTHER_METHOD


def _traceparent(scope: Scope) -> str | None:
    """One header; several are nobody's (W3C Trace Context, 3.2)."""
    found = [value for name, value in scope["headers"] if name == b"traceparent"]
    return found[0].decode("latin-1") if len(found) == 1 else None
