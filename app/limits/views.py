"""A budget as people and metrics see it."""

from dataclasses import dataclass

from app.limits.rules import Limits
from app.limits.windows import BudgetState, active, brought_to


@dataclass(frozen=True)
class WindowView:
    """One limit: `name` is bucket, minute or day. Calls: `spent + left == limit`; calls on loan count as spent."""

    name: str
    limit: float
    spent: float
    left: float


@dataclass(frozen=True)
class BudgetView:
    """A budget. `closed_until` (epoch seconds) and `reason` are None while it is open."""

    project: str
    api: str
    windows: tuple[WindowView, ...]
    closed_until: float | None
    reason: str | None


def view(project: str, api: str, state: BudgetState, limits: Limits, now: float) -> BudgetView:
    """`state` as of `now` (epoch seconds, database time)."""
    state = brought_to(state, limits, now)
    windows = []
    for window in active(limits):
        limit = window.limit(limits)
        left = min(limit, max(0, window.free(state, limits, now)))
        windows.append(WindowView(window.name, limit, limit - left, left))
    closed = now < state.cooldown.until
    until, reason = (state.cooldown.until, state.cooldown.reason) if closed else (None, None)
    return BudgetView(project, api, tuple(windows), until, reason)
