"""One replica at a time does what must not be done by two: it leads, by a lease in the store that it keeps renewing.

The lease runs by the database's time. Here it is dated on the monotonic clock from before it was asked for, so that
this process believes in it for less long than the others do; one that was stopped and wakes finds it over.
"""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from app.clock import Clock, first_done
from app.store.database import Database, StoreUnavailableError
from app.store.leadership import free_in, lead, step_down
from app.telemetry.events import Event

LEASE_SECONDS = 3.0
RENEW_SECONDS = 1.0
"""A standby asks as often, and once more when the lease it has seen runs out: a reader waits for that moment."""

SOON_SECONDS = 0.05
"""Between two looks at a lease that is about to run out."""

log = structlog.get_logger(__name__)


class SteppedDownError(Exception):
    """What a body raises when another has taken its place, and no harm is done."""


class Leadership:
    """The place of the one that does `name`. `holder` is unique per start of a process."""

    def __init__(self, database: Database, name: str, holder: str, clock: Clock) -> None:
        self._database = database
        self._name = name
        self._holder = holder
        self._clock = clock
        self._until = float("-inf")

    @property
    def leading(self) -> bool:
        """Whether the lease is this process's, as far as it can know."""
        return self._clock.monotonic() < self._until

    async def run(self, body: Callable[[], Awaitable[None]], cut_off: Callable[[], bool] = lambda: False) -> None:
        """Until cancelled: run `body` for as long as this process leads, from the beginning each time it comes to.

        `cut_off`: whether the body has been without what it needs for so long that another shall try.
        Raises what the body raises, but for `SteppedDownError`; the place is free then for another.
        """
        while True:
            if await self._renew():
                await self._lead(body, cut_off)
                await self._clock.sleep(RENEW_SECONDS)
            else:
                await self._clock.sleep(await self._until_next_look())

    async def _lead(self, body: Callable[[], Awaitable[None]], cut_off: Callable[[], bool]) -> None:
        log.info(Event.LEADERSHIP_TAKEN, name=self._name)
        working = asyncio.ensure_future(body())
        try:
            while self.leading and not working.done():
                await first_done(self._clock, RENEW_SECONDS, (working,))
                if not working.done() and cut_off():
                    log.warning(Event.LEADERSHIP_LOST, name=self._name, cause="it is cut off: another may do better")
                    break
                if not working.done():
                    await self._renew()
        finally:
            await self._stop(working)
        if not working.cancelled() and (error := working.exception()) is not None:
            if not isinstance(error, SteppedDownError):
                raise error
            log.warning(Event.LEADERSHIP_LOST, name=self._name, cause=str(error))

    async def _renew(self) -> bool:
        """Whether the store says that the lease is ours. While it is away, the lease goes on until it ends."""
        asked_at = self._clock.monotonic()
        try:
            async with asyncio.timeout(LEASE_SECONDS):
                mine = await self._database.write(lead, self._name, self._holder, LEASE_SECONDS)
        except (StoreUnavailableError, TimeoutError) as error:
            if self.leading:
                log.warning(Event.LEADERSHIP_NOT_RENEWED, name=self._name, cause=str(error) or type(error).__name__)
            return False
        if not mine and self.leading:
            log.warning(Event.LEADERSHIP_LOST, name=self._name, cause="another process has taken it")
        self._until = asked_at + LEASE_SECONDS if mine else float("-inf")
        return mine

    async def _until_next_look(self) -> float:
        try:
            async with asyncio.timeout(LEASE_SECONDS):
                free_in_seconds = await self._database.read(free_in, self._name)
        except (StoreUnavailableError, TimeoutError):
            return RENEW_SECONDS
        return min(RENEW_SECONDS, free_in_seconds + SOON_SECONDS)

    async def _stop(self, working: "asyncio.Future[None]") -> None:
        """End the body first, and only then let another begin."""
        working.cancel()
        await asyncio.wait((working,))
        if not self.leading:
            return
        self._until = float("-inf")
        try:
            async with asyncio.timeout(RENEW_SECONDS):
                await self._database.write(step_down, self._name, self._holder)
        except (StoreUnavailableError, TimeoutError):
            log.info(Event.LEADERSHIP_NOT_GIVEN_BACK, name=self._name)
