"""When API keys were last used: noted in memory at each request, written to the store now and then.

A request never waits for it. Each process writes a key shortly after its first use, and then at most once a minute.
"""

import asyncio
from collections.abc import Mapping

import structlog

from app.clock import Clock
from app.store.database import Database, StoreUnavailableError
from app.store.keys import note_uses
from app.telemetry.events import Event

GATHER_SECONDS = 2.0
"""From the first use to its write: what is used meanwhile is written along."""

AGAIN_SECONDS = 60.0
"""Between two writes of one key."""

STOP_SECONDS = 2.0
"""For the last of it at an orderly stop: a frozen store does not hold it up."""

log = structlog.get_logger(__name__)


class KeyUses:
    """`used` notes, `run` writes. One a process. Holds nothing but keys that exist and were used lately."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._used: dict[str, float] = {}
        self._written: dict[str, float] = {}
        self._something = asyncio.Event()

    def used(self, key_id: str) -> None:
        """This key let somebody in just now."""
        self._used[key_id] = self._clock.monotonic()
        self._something.set()

    async def run(self) -> None:
        """Until cancelled. Sleeps while no key is used."""
        while True:
            await self._something.wait()
            await self._clock.sleep(GATHER_SECONDS)
            await self._write_due()

    async def close(self) -> None:
        """Write what is left, once `run` has ended."""
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._write(self._used)
        except TimeoutError:
            log.warning(Event.KEY_USES_STORE_AWAY, cause=f"did not answer within {STOP_SECONDS:.0f} s")

    async def _write_due(self) -> None:
        now = self._clock.monotonic()
        self._written = {key: at for key, at in self._written.items() if now - at < AGAIN_SECONDS}
        await self._write({key: at for key, at in self._used.items() if key not in self._written})
        if not self._used:
            self._something.clear()

    async def _write(self, used: Mapping[str, float]) -> None:
        """To write a use twice, because its first write was cut off, changes nothing."""
        if not used:
            return
        now = self._clock.monotonic()
        try:
            await self._database.write(note_uses, {key: now - at for key, at in used.items()})
        except StoreUnavailableError as error:
            log.warning(Event.KEY_USES_STORE_AWAY, cause=str(error))
            return
        self._written |= dict.fromkeys(used, now)
        self._used = {key: at for key, at in self._used.items() if at != used.get(key)}
