"""A budget as people and metrics see it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.limits.rules import Limits
from app.limits.windows import BudgetState, active, all_settled, brought_to, decode, waiting


@dataclass(frozen=True)
class WindowView:
    """One limit: `name` is bucket, minute or day. Calls: `spent + left == limit`; calls on loan count as spent.

    `resets_at` (epoch seconds) is when nothing of it is spent any more if nobody calls: the bucket full, the minute
    over, midnight. None when nothing is spent.
    """

    name: str
    limit: float
    spent: float
    left: float
    resets_at: float | None


@dataclass(frozen=True)
class ShareView:
    """`calls` on loan to a replica, `holder`, until `expires_at` (epoch seconds)."""

    holder: str
    calls: int
    expires_at: float


@dataclass(frozen=True)
class BudgetView:
    """A budget. `closed_until` is the end of a 429's closing, `next_call_at` when a call can be granted again for
    whatever cause (epoch seconds), and `reason` that cause; all None while a call can be granted now."""

    project: str
    api: str
    windows: tuple[WindowView, ...]
    shares: tuple[ShareView, ...]
    closed_until: float | None
    next_call_at: float | None
    reason: str | None


def views(
    rows: Sequence[tuple[str, str, bytes]], limits: Mapping[str, Limits], now: float, here: float
) -> list[BudgetView]:
    """Stored budgets (project, api, state) as of `now`, the database's time. `here` is the reader's time at that
    moment: all times told are the reader's. A missing limit is unlimited. Raises ValueError as `decode` does."""
    when = _Time(now, here - now)
    return [_view(project, api, decode(raw), limits.get(api, Limits()), when) for project, api, raw in rows]


class _Time(NamedTuple):
    """The database's time, and by how much the reader's is ahead of it."""

    now: float
    ahead: float


def _view(project: str, api: str, state: BudgetState, limits: Limits, when: _Time) -> BudgetView:
    now, ahead = when
    state = brought_to(state, limits, now)
    refusal = waiting(state, limits, now)
    return BudgetView(
        project,
        api,
        tuple(_windows(state, limits, when)),
        tuple(ShareView(share.holder, share.count, share.expires_at + ahead) for share in state.shares),
        state.cooldown.until + ahead if now < state.cooldown.until else None,
        refusal and refusal.until + ahead,
        refusal and refusal.reason,
    )


def _windows(state: BudgetState, limits: Limits, when: _Time) -> list[WindowView]:
    now, ahead = when
    settled, found = all_settled(state, limits), []
    for window in active(limits):
        limit = window.limit(limits)
        left = min(limit, max(0, window.free(state, limits, now)))
        whole_at = window.whole_at(settled, limits, now)
        found.append(WindowView(window.name, limit, limit - left, left, whole_at + ahead if whole_at > now else None))
    return found
