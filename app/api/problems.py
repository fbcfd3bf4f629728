"""Errors as `application/problem+json` (RFC 9457): the shape, without a word about which error becomes which."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from app.api.rate_limits import LIMIT_HEADERS

PROBLEM_TYPE_PREFIX = "urn:review-fetcher:problem:"


class Problem(Response):
    """`kind` is the machine's word, `title` the same for every problem of a kind, `detail` says what to do."""

    media_type = "application/problem+json"

    def __init__(
        self,
        kind: str,
        status: int,
        title: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        body = {"type": PROBLEM_TYPE_PREFIX + kind, "title": title, "status": status, "detail": detail, **members}
        super().__init__(json.dumps(body).encode(), status, dict(headers or {}))


def problem_responses(statuses: Sequence[int]) -> dict[int | str, dict[str, Any]]:
    """What a route's OpenAPI entry says about these statuses."""
    return {status: _documented(status) for status in statuses}


_DESCRIPTIONS = {
    400: "The connection ended before the body did.",
    401: "No valid API key (or, at submission with the check switched on, a token that Google refuses).",
    403: "The API key lacks the scope.",
    404: "There is no such thing for this tenant: job, dead letter, message or key.",
    405: "The path exists, with other methods.",
    408: "The body came too slowly.",
    409: "The state of the job, or of the key, does not allow this.",
    413: "The body is over 64 KiB.",
    414: "Path and query have more than 8 KiB.",
    415: "The body is not declared as application/json.",
    422: "The request is not understood; `errors` says where.",
    429: "Too many wrong API keys from this address (or, at submission, too many jobs wait to be accepted, or the "
    "tenant is over one of its limits).",
    500: "A fault of the service.",
    501: "The service is installed without what this takes; `detail` names it.",
    503: "The service cannot do this just now.",
}


_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds to wait before the next try.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    }
}
_CHALLENGE = {
    "WWW-Authenticate": {
        "description": "How to send an API key (RFC 9110 §11.6.1).",
        "required": True,
        "schema": {"type": "string"},
    }
}
_HEADERS: dict[int, dict[str, Any]] = {401: _CHALLENGE, 429: _RETRY_AFTER | LIMIT_HEADERS, 503: _RETRY_AFTER}


def _documented(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDetails"}
    documented: dict[str, Any] = {
        "description": _DESCRIPTIONS[status],
        "content": {Problem.media_type: {"schema": schema}},
    }
    if status in _HEADERS:
        documented["headers"] = dict(_HEADERS[status])
    return documented
