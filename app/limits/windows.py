"""The arithmetic of a budget that several processes share."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What one API may be called, per Google project. 0 turns a limit off.

    `bucket_capacity` calls at once and `refill_rate` calls a second; `per_minute` in any 60 seconds; `per_day` in a
    calendar day of `day_zone` (Google's daily quotas begin at midnight Pacific). `reserve_percent` of each is left to
    others who use the same Google project.
    """

    bucket_capacity: float = 0
    refill_rate: float = 0.0
    per_minute: int = 0
    per_day: int = 0
    reserve_percent: float = 0
    day_zone: str = "America/Los_Angeles"


@dataclass(frozen=True)
class WindowView:
    """One limit: `name` is bucket, minute or day. `spent + left == limit`, in calls."""

    name: str
    limit: float
    spent: float
    left: float


@dataclass(frozen=True)
class BudgetView:
    """A budget for people. `closed_until` (epoch seconds) and `reason` are None while it is open."""

    project: str
    api: str
    windows: tuple[WindowView, ...]
    closed_until: float | None
    reason: str | None
