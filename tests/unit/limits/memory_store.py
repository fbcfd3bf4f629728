"""A budget store in memory, with the store's promises: one change at a time, the database's own time."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from tests.support.clock import ManualClock

T = TypeVar("T")


class MemoryBudgetStore:
    """`ahead` is the database's clock minus ours; `delay` the seconds a change takes; `away` makes it fail."""

    def __init__(self, clock: ManualClock, ahead: float = 0.0, delay: float = 0.0) -> None:
        self.clock = clock
        self.ahead = ahead
        self.delay = delay
        self.away = False
        self.changes = 0
        self.reads = 0
        self.rows: dict[tuple[str, str], bytes] = {}
        self._row_lock = asyncio.Lock()

    def now(self) -> float:
        """The database's time."""
        return self.clock.now() + self.ahead

    async def change_budget(
        self, project: str, api: str, change: Callable[[bytes | None, float], tuple[bytes, T]]
    ) -> T:
        async with self._row_lock:
            self.changes += 1
            await self.clock.sleep(self.delay / 2)
            if self.away:
                raise ConnectionError("the store is away")
            self.rows[project, api], result = change(self.rows.get((project, api)), self.now())
            await self.clock.sleep(self.delay / 2)
            return result

    async def read_budgets(self) -> tuple[float, Sequence[tuple[str, str, bytes]]]:
        self.reads += 1
        if self.away:
            raise ConnectionError("the store is away")
        return self.now(), [(project, api, raw) for (project, api), raw in self.rows.items()]
