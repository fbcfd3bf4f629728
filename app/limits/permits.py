"""The words between a worker, its quota and the store that keeps it."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar

T = TypeVar("T")

LONGEST_WAIT_SECONDS = 2.0
"""A worker waits so long for quota with a task in hand; beyond it the task goes back and makes room."""


class Api(StrEnum):
    """The three Google APIs of a walk. Each has a quota of its own in a Google project."""

    ACCOUNTS = "accounts"
    LOCATIONS = "locations"
    REVIEWS = "reviews"


class Permit(NamedTuple):
    """Leave for one call, now. `sent_at` is the monotonic time it was given: the call counts as sent then.

    `closings` is how often the budget had been closed by then, as far as this process knew.
    """

    project: str
    api: str
    sent_at: float
    closings: int


class Wait(NamedTuple):
    """No leave before `until` (epoch seconds of this process's wall clock); `reason` is a sentence for people."""

    until: float
    reason: str


class BudgetStore(Protocol):
    """Where budgets live. Any exception means that the store is away: no new shares are given."""

    async def change_budget(
        self, project: str, api: str, change: Callable[[bytes | None, float], tuple[bytes, T]]
    ) -> T:
        """Run `change(state, now)` in one transaction that holds the lock of the budget's row; return its T.

        `state` is what the row holds, None when there is none. `now` is the database's time in epoch seconds,
        read after the lock is held (on PostgreSQL clock_timestamp(), not now(): a transaction that waited for
        the lock would bring an old time). The returned bytes replace the state; the write may be left out when
        they are the same. `change` is pure and quick, and may be run again if the transaction is repeated.
        """
        ...

    async def read_budgets(self) -> tuple[float, Sequence[tuple[str, str, bytes]]]:
        """The database's time, and every budget as (project, api, state)."""
        ...
