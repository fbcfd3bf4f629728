"""Limits as a client reads them: RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-11)."""

from collections.abc import Iterable
from math import ceil
from typing import Any

from app.models.limits import LimitState

LIMIT_HEADERS: dict[str, Any] = {
    "RateLimit-Policy": {
        "description": 'The tenant\'s limits, where it has any: `"submits";q=60;w=60, "open-jobs";q=100`.',
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": 'What is left (`r`), and after how many seconds all of it is (`t`): `"submits";r=59;t=1`.',
        "schema": {"type": "string"},
    },
}
"""For OpenAPI."""


def limit_headers(limits: Iterable[LimitState]) -> dict[str, str]:
    """Nothing for a tenant without limits."""
    states = list(limits)
    if not states:
        return {}
    return {"RateLimit-Policy": ", ".join(map(_policy, states)), "RateLimit": ", ".join(map(_state, states))}


def _policy(limit: LimitState) -> str:
    window = "" if limit.window is None else f";w={limit.window}"
    return f'"{limit.name}";q={limit.limit}{window}'


def _state(limit: LimitState) -> str:
    seconds = "" if limit.whole_in is None else f";t={ceil(limit.whole_in)}"
    return f'"{limit.name}";r={limit.left}{seconds}'
