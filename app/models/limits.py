"""How far a tenant's submissions are from their limits."""

from typing import NamedTuple


class SubmitLimits(NamedTuple):
    """Of one tenant: jobs that may be open at a time, and submissions in a minute. 0: no limit."""

    max_open_jobs: int = 0
    submits_per_minute: int = 0


NO_LIMITS = SubmitLimits()


class LimitState(NamedTuple):
    """One limit: `left` of `limit`; all of it in `whole_in` seconds if nothing more is sent. `window` in seconds; None:
    no matter of time."""

    name: str
    limit: int
    left: int
    window: int | None = None
    whole_in: float | None = None


class Refusal(NamedTuple):
    """Over a limit: what to tell people, and the seconds after which the next try may succeed."""

    reason: str
    retry_after: float
