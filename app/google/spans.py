"""Each call to Google in the trace of its job. Nothing of the trace is sent to Google."""

from typing import NamedTuple
from urllib.parse import urlsplit

from app.google.errors import GoogleAPIError
from app.telemetry import conventions, tracing
from app.telemetry.tracing import Kind, Span


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
        span.tell({conventions.HTTP_RESPONSE_STATUS_CODE: conventions.OK})


def tell_failed(span: Span, error: GoogleAPIError) -> None:
    """Also an answer that cannot be read, whose status says that all is well."""
    if not span.recording:
        return
    if error.status is not None:
        span.tell({conventions.HTTP_RESPONSE_STATUS_CODE: error.status})
    span.failed(conventions.error_type(error.status, error.reason))
