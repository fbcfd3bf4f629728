"""What an error of Google's says, out of a body that may as well be HTML, empty, cut or hostile.

Shapes: google.rpc.Status as JSON (error_details.proto), the legacy `errors[]` of the older APIs, and OAuth's
`{"error": "invalid_token", "error_description": …}`.
"""

import json
import math
import re
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

_DURATION = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,12})?")


class ErrorBody(NamedTuple):
    """`reasons`: those of details[] first, then of errors[]. `retry_delay` is RetryInfo's, in seconds."""

    message: str = ""
    status: str = ""
    reasons: tuple[str, ...] = ()
    zero_quota: bool = False
    retry_delay: float | None = None


def read_error_body(body: bytes) -> ErrorBody:
    """Whatever can be read of it; empty fields for the rest."""
    try:
        document = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return ErrorBody()
    # Streaming front ends wrap the answer in a list.
    wrapped = _object(document[0] if isinstance(document, list) and document else document)
    error = wrapped.get("error")
    if isinstance(error, str):
        return ErrorBody(message=_text(wrapped.get("error_description")), reasons=(error,))
    return _status(_object(error))


def retry_after_seconds(header: str | None, now: float) -> float | None:
    """A Retry-After header in seconds; `now` (epoch seconds) is what its HTTP-date is measured from.

    A date that has passed means at once (0.0); None when there is nothing that can be followed.
    """
    if header is None:
        return None
    if (seconds := _seconds(header.strip())) is not None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _status(error: dict[str, Any]) -> ErrorBody:
    details = _objects(error.get("details"))
    named = [*details, *_objects(error.get("errors"))]
    delays = [delay for item in details if (delay := _delay(item.get("retryDelay"))) is not None]
    return ErrorBody(
        message=_text(error.get("message")),
        status=_text(error.get("status")),
        reasons=tuple(reason for item in named if (reason := _text(item.get("reason")))),
        zero_quota=any(_is_zero_quota(item) for item in details),
        retry_delay=max(delays, default=None),
    )


def _is_zero_quota(detail: dict[str, Any]) -> bool:
    """ErrorInfo says it in its metadata, QuotaFailure in its violations."""
    limits = [_object(detail.get("metadata")).get("quota_limit_value")]
    limits += [violation.get("quotaValue") for violation in _objects(detail.get("violations"))]
    return any(str(limit) == "0" for limit in limits)


def _delay(value: object) -> float | None:
    """A google.protobuf.Duration: "3.5s", or its fields {"seconds", "nanos"}."""
    if isinstance(value, str):
        return _seconds(value[:-1]) if value.endswith("s") else None
    fields = _object(value)
    if not fields.keys() & {"seconds", "nanos"}:
        return None
    seconds = _seconds(str(fields.get("seconds", 0)))
    nanos = _seconds(str(fields.get("nanos", 0)))
    return None if seconds is None or nanos is None else seconds + nanos / 1e9


def _seconds(text: str) -> float | None:
    """Not negative and finite, else None: nobody can wait for less than nothing."""
    if not _DURATION.fullmatch(text):
        return None
    seconds = float(text)
    return seconds if seconds >= 0 and math.isfinite(seconds) else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
