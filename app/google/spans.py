"""Each call to Google in the trace of its job. Nothing of the trace is sent to Google."""

from typing import NamedTuple
from urllib.parse import urlsplit

from app.google.errors import GoogleAPIError
from app.telemetry import conventions, tracing
from app.telemetry.tracing import Kind, Span

OK = 200


class Call(NamedTuple):
    """`template`: the path with the names of what it holds; `url`: without the query, where page tokens are."""

    method: str
    template: str
    url: str


def call_span(call: Call) -> Span:
    """One request: as many spans as Google counts calls."""
    span = tracing.child(f"{call.method} {call.template}", Kind.CLIENT)
    if span.recording:
        parts = urlsplit(call.url)
        span.tell(
            {
                conventions.HTTP_REQUEST_METHOD: call.method,
                conventions.URL_TEMPLATE: call.template,
                conventions.URL_FULL: call.url,
                conventions.SERVER_ADDRESS: parts.hostname or "",
                conventions.SERVER_PORT: parts.port or (443 if parts.scheme == "https" else 80),
            }
        )
    return span


def tell_answered(span: Span) -> None:
    if span.recording:
        span.tell({conventions.HTTP_RESPONSE_STATUS_CODE: OK})


def tell_failed(span: Span, error: GoogleAPIError) -> None:
    """By the status: Google's own word for it may be any text. Without one the word is ours."""
    if not span.recording:
        return
    if error.status is None:
        span.failed(error.reason)
        return
    span.tell({conventions.HTTP_RESPONSE_STATUS_CODE: error.status})
    span.failed(str(error.status))
