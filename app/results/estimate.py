"""When a job will end, as arithmetic: what is left ÷ what the quota allows, or the job's own speed if that is slower.

A guess by its nature: locations that were not begun are taken to be like those that are done.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from app.limits.rules import MINUTE, Limits
from app.store.loads import Load

REVIEWS_A_CALL = 50
"""Google's largest page of reviews."""

FEWEST_CALLS = 5
"""Before a job has made so many, its speed says nothing."""

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Budget:
    """One Google project's quota of reviews.list: its rules, calls left of the day (None: no such limit) and seconds to
    its end, and seconds for which Google's 429 keeps it closed."""

    limits: Limits
    day_left: float | None = None
    day_ends_in: float = 0.0
    closed_for: float = 0.0


class Forecast(NamedTuple):
    """Seconds to the end, calls left, and what sets the pace."""

    seconds: float
    calls: int
    limited_by: Literal["quota", "speed"]


def calls_left(load: Load) -> int | None:
    """Calls to make until the end, as far as can be told; None before anything is known of the locations."""
    lists = load.accounts_found - load.accounts_done
    unread = load.locations_found - load.locations_done - load.locations_unavailable
    begun = max(0, load.reviews_expected - load.reviews_fetched)
    if not load.locations_found or (unread and not load.locations_done and not load.reviews_expected):
        return None
    usual = load.reviews_fetched / load.locations_done if load.locations_done else float(load.reviews_expected)
    under_way = min(unread, math.ceil(begun / max(1.0, usual)))
    pages_of_one = max(1, math.ceil(usual / REVIEWS_A_CALL))
    return lists + max(under_way, math.ceil(begun / REVIEWS_A_CALL)) + (unread - under_way) * pages_of_one


def forecast(load: Load, others: Iterable[int], budget: Budget) -> Forecast | None:
    """`others`: the calls left of other jobs that spend the same budget. None: nothing can be said yet."""
    left = calls_left(load)
    if left is None:
        return None
    shared = left + sum(min(left, other) for other in others)  # jobs take turns, so each has done as much as this one
    by_quota = budget.closed_for + seconds_for(shared, budget)
    by_speed = left * load.clocked_seconds / load.clocked_calls if load.clocked_calls >= FEWEST_CALLS else 0.0
    if by_quota == 0.0 == by_speed and left:
        return None
    return Forecast(max(by_quota, by_speed), left, "quota" if by_quota >= by_speed else "speed")


def seconds_for(calls: int, budget: Budget) -> float:
    """How long a budget takes to allow so many calls. What the bucket holds now is small beside it, and left out."""
    limits = budget.limits
    rates = [limits.rate] if limits.capacity else []
    rates += [limits.minute / MINUTE] if limits.minute else []
    steady = calls / min(rates) if rates else 0.0
    if budget.day_left is None or calls <= budget.day_left:
        return steady
    days = (calls - budget.day_left) / max(1, limits.day)
    return max(steady, budget.day_ends_in + days * DAY)


def others_of(load: Load, loads: Sequence[Load]) -> list[int]:
    """The calls left of the other jobs that spend the quota of this one's project."""
    return [calls_left(other) or 1 for other in loads if other.project == load.project and other.job_id != load.job_id]
