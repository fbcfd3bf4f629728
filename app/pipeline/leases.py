"""The leases of the tasks that this process works on: extended together, for as long as the work goes on."""

import asyncio
from collections import Counter

import structlog

from app.clock import Clock
from app.store.database import Database, StoreUnavailableError
from app.store.tasks import extend
from app.telemetry.events import Event

LEASE_SECONDS = 15.0
EXTEND_SECONDS = LEASE_SECONDS / 3
"""Two extensions may fail before a lease runs out."""

DEADLINE_SECONDS = 3.0
"""Of one extension: over a connection that hangs, the store's own deadline would take all leases with it. The next try
takes another connection."""

RETRY_SECONDS = 0.5
"""While the store is away: who comes back first, holders or the scheduler, decides whether pages are read again."""

log = structlog.get_logger(__name__)


class LeaseKeeper:
    """`holder` names this start of this process."""

    def __init__(self, database: Database, clock: Clock, holder: str) -> None:
        self._database = database
        self._clock = clock
        self.holder = holder
        self._held: Counter[int] = Counter()
        self._away = False

    def add(self, task_id: int) -> None:
        self._held[task_id] += 1

    def remove(self, task_id: int) -> None:
        """Once for each `add`: a task that was lost may be held anew while its former holder still ends."""
        self._held[task_id] -= 1
        if self._held[task_id] <= 0:
            del self._held[task_id]

    @property
    def held(self) -> frozenset[int]:
        """The tasks whose leases are kept."""
        return frozenset(self._held)

    @property
    def count(self) -> int:
        """How many tasks are held."""
        return len(self._held)

    async def run(self) -> None:
        """Extends until cancelled. A store that is away is asked again: the version guards what runs out meanwhile."""
        pause = EXTEND_SECONDS
        while True:
            await self._clock.sleep(pause)
            pause = EXTEND_SECONDS if not self._held or await self._extend() else RETRY_SECONDS

    async def _extend(self) -> bool:
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await self._database.write(extend, self.held, self.holder, LEASE_SECONDS)
        except (StoreUnavailableError, TimeoutError) as error:
            if not self._away:
                cause = str(error) or type(error).__name__
                log.warning(Event.LEASES_NOT_EXTENDED, held=len(self._held), cause=cause)
            self._away = True
        else:
            self._away = False
        return not self._away
