"""What this process does by the minute, added to the store now and then: for charts, not the truth.

A settle never waits for it. What a crash loses is what was not written yet, some seconds of it.
"""

import asyncio
from collections.abc import Mapping

import structlog

from app.clock import Clock
from app.store.activity import MINUTE, Activity, add_activity
from app.store.database import Database, StoreUnavailableError
from app.telemetry.events import Event

WRITE_SECONDS = 3.0
"""One small commit in so many seconds, and none while nothing is done."""

STOP_SECONDS = 2.0
"""For the last of it at an orderly stop: a frozen store does not hold it up."""

MOST_KEPT = 10_000
"""Minutes of tenants, of which each is some 200 bytes. While the store is away the oldest are forgotten beyond it."""

log = structlog.get_logger(__name__)

Key = tuple[str, int]
"""A tenant and a minute."""


class ActivityLog:
    """Counts in memory; `run` writes. One a process."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._done: dict[Key, Activity] = {}
        self._something = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    def add(self, tenant: str, *, reviews: int = 0, calls: int = 0, throttled: int = 0) -> None:
        """In the minute that runs, by this process's clock."""
        self._add(Activity(tenant, int(self._clock.now() // MINUTE), reviews, calls, throttled))
        self._something.set()

    async def run(self) -> None:
        """Until cancelled. Sleeps while nothing is done."""
        while True:
            await self._something.wait()
            await self._clock.sleep(WRITE_SECONDS)
            await self._write()

    async def close(self) -> None:
        """Write what is left, once `run` has ended."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                if self._writing is not None:
                    await asyncio.wait((self._writing,))
                await self._write()
        except TimeoutError:
            log.warning(Event.ACTIVITY_STORE_AWAY, cause=f"did not answer within {STOP_SECONDS:.0f} s")

    async def _write(self) -> None:
        """Whole, even if whoever waits for it is cancelled: it is not added a second time then."""
        if self._done:
            self._writing = asyncio.ensure_future(self._write_all())
            await asyncio.shield(self._writing)

    async def _write_all(self) -> None:
        done, self._done = self._done, {}
        self._something.clear()
        try:
            await self._database.write(add_activity, list(done.values()))
        except StoreUnavailableError as error:
            log.warning(Event.ACTIVITY_STORE_AWAY, cause=str(error))
            self._keep(done)

    def _keep(self, done: Mapping[Key, Activity]) -> None:
        """For the next time, before what was counted meanwhile."""
        newer, self._done = self._done, dict(done)
        for activity in newer.values():
            self._add(activity)
        self._something.set()

    def _add(self, more: Activity) -> None:
        key = (more.tenant, more.minute)
        so_far = self._done.get(key)
        if so_far is None and len(self._done) >= MOST_KEPT:
            del self._done[next(iter(self._done))]
        self._done[key] = more if so_far is None else _sum(so_far, more)


def _sum(one: Activity, other: Activity) -> Activity:
    return Activity(
        one.tenant,
        one.minute,
        one.reviews + other.reviews,
        one.calls + other.calls,
        one.throttled + other.throttled,
    )
