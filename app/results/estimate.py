"""When a job will end, as arithmetic: what is left ÷ what the quota allows, or the job's own speed if that is slower.

A guess by its nature: locations that were not begun are taken to be like those that were, accounts likewise.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Literal, NamedTuple

from app.limits.rules import MINUTE, Limits
from app.models.job import OPEN
from app.models.views import JobView
from app.store.loads import Load

REVIEWS_A_CALL = 50
"""Google's largest page of reviews."""

FEWEST_CALLS = 5
"""Before a job has made so many, its speed says nothing."""

AS_THE_QUOTA = 0.8
"""A job that is about as fast as the quota allows is held up by the quota, however slow each of its calls is."""

DAY = 86_400.0

FARTHEST_SECONDS = 3_650 * DAY
"""An end that is farther away than ten years is not worth telling, and no date at all in the end."""


@dataclass(frozen=True, slots=True)
class Budget:
    """One Google project's quota of reviews.list: its rules, calls left by the name of the window (missing: all of it),
    seconds to the end of the day, and seconds for which Google's 429 keeps it closed."""

    limits: Limits
    left: Mapping[str, float] = field(default_factory=dict)
    day_ends_in: float = 0.0
    closed_for: float = 0.0


class Forecast(NamedTuple):
    """Seconds to the end, calls left, and what sets the pace."""

    seconds: float
    calls: int
    limited_by: Literal["quota", "speed"]


class Turns:
    """The jobs that spend one budget, by the calls that each has left. They take turns."""

    def __init__(self, calls: Iterable[int]) -> None:
        self._calls = sorted(calls)
        self._sums = [0, *accumulate(self._calls)]

    def until(self, calls: int) -> int:
        """Calls that they make together until one of them has made so many, which has so many left."""
        fewer = bisect_right(self._calls, calls)
        return self._sums[fewer] + calls * (len(self._calls) - fewer)


def calls_left(load: Load) -> int | None:
    """Calls to make until the end, as far as can be told; None before anything is known of the locations."""
    begun = max(load.locations_begun, load.locations_done)
    unread = max(0, load.locations_found - load.locations_unavailable - begun)
    if not load.locations_found or (unread and not begun):
        return None
    under_way = begun - load.locations_done
    pages = math.ceil(max(0, load.reviews_expected - load.reviews_fetched) / REVIEWS_A_CALL) if under_way else 0
    usual_pages = max(1, math.ceil(load.reviews_expected / REVIEWS_A_CALL / max(1, begun)))
    return max(under_way, pages) + unread * usual_pages + _calls_of_unlisted(load, usual_pages)


def _calls_of_unlisted(load: Load, usual_pages: int) -> int:
    """Of accounts whose locations are not all known: to list them, and to read what they are likely to have."""
    unlisted = max(0, load.accounts_found - load.accounts_done)
    usual_locations = load.locations_found / load.accounts_done if load.accounts_done else 0.0
    return unlisted + math.ceil(unlisted * usual_locations * usual_pages)


def forecast(load: Load, turns: Turns, budget: Budget) -> Forecast | None:
    """`turns`: all jobs that spend this budget, this one among them. None: nothing can be said yet."""
    left = calls_left(load)
    if left is None:
        return None
    by_quota = budget.closed_for + seconds_for(turns.until(left), budget)
    by_speed = left * load.clocked_seconds / load.clocked_calls if load.clocked_calls >= FEWEST_CALLS else 0.0
    seconds = max(by_quota, by_speed)
    if (seconds == 0.0 and left) or seconds > FARTHEST_SECONDS:
        return None
    return Forecast(seconds, left, "quota" if by_quota >= AS_THE_QUOTA * by_speed else "speed")


def seconds_for(calls: int, budget: Budget) -> float:
    """How long a budget that is open takes to allow so many calls."""
    limits = budget.limits
    today = budget.left.get("day", limits.day) if limits.day else math.inf
    at_its_pace = _without_days(calls, limits, budget.left)
    if calls <= today:
        return at_its_pace
    whole_days, before_last = divmod(math.ceil(calls - today) - 1, limits.day)
    last_day = min(DAY, _without_days(before_last + 1, limits, {}))
    return max(at_its_pace, budget.day_ends_in + whole_days * DAY + last_day)


def _without_days(calls: int, limits: Limits, left: Mapping[str, float]) -> float:
    """Calls that a window has left are made at once; those of a minute that is used up come at its even pace."""
    bucket = max(0.0, calls - left.get("bucket", limits.capacity)) / limits.rate if limits.capacity else 0.0
    minute = calls * MINUTE / limits.minute if limits.minute and calls > left.get("minute", limits.minute) else 0.0
    return max(bucket, minute)


def token_warning(job: JobView) -> str | None:
    """What to do about a token that has ended, or will before its job."""
    token = job.token
    if job.status not in OPEN or token is None or token.expires_at is None or token.refreshable:
        return None
    if token.seconds_left == 0:
        return f"The access token ended at {_time(token.expires_at)}: give it a new one, or one with a refresh token."
    if job.estimate is None or job.estimate.finished_at <= token.expires_at:
        return None
    return (
        f"The access token ends at {_time(token.expires_at)}, and the job is estimated to take until "
        f"{_time(job.estimate.finished_at, token.expires_at)}: give it a new one by then, or one with a refresh token."
    )


def _time(moment: datetime, beside: datetime | None = None) -> str:
    """`14:32 UTC`, with the day where it is another than that of the time beside it."""
    same_day = beside is None or moment.date() == beside.date()
    return f"{moment:%H:%M} UTC" if same_day else f"{moment:%Y-%m-%d %H:%M} UTC"
