"""Keys of the store, each read at most every 5 seconds, and no longer believed than it lives."""

import asyncio
from collections import OrderedDict
from typing import NamedTuple

from app.clock import Clock
from app.store.database import Database
from app.store.keys import KeyRecord, count_keys, find_key

FRESH_SECONDS = 5.0
"""How long a key read from the store is believed: a revocation works within this time, an expiry at its moment."""

CACHED_KEYS = 1_000


class _Cached(NamedTuple):
    until: float
    record: KeyRecord | None


class StoredKeys:
    """Keys by prefix. Unknown ones are remembered too: guessing does not load the store, and takes the same time."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._cached: OrderedDict[str, _Cached] = OrderedDict()
        self._reading: dict[str, asyncio.Task[KeyRecord | None]] = {}
        self._none_until = -1.0

    async def find(self, prefix: str) -> KeyRecord | None:
        """The key with this prefix, if it is valid."""
        cached = self._cached.get(prefix)
        if cached and self._clock.monotonic() < cached.until:
            return cached.record
        return await asyncio.shield(self._reading.get(prefix) or self._start_reading(prefix))

    async def none_exist(self) -> bool:
        """Whether no key was ever made. Only "none" is remembered: from the first key on the answer is final."""
        now = self._clock.monotonic()
        if now < self._none_until:
            return True
        none = await self._database.read(count_keys) == 0
        self._none_until = now + FRESH_SECONDS if none else -1.0
        return none

    def _start_reading(self, prefix: str) -> asyncio.Task[KeyRecord | None]:
        """One read for all requests that wait for it."""
        reading = asyncio.ensure_future(self._read(prefix))
        self._reading[prefix] = reading
        reading.add_done_callback(lambda done: self._end_reading(prefix, done))
        return reading

    def _end_reading(self, prefix: str, reading: asyncio.Task[KeyRecord | None]) -> None:
        self._reading.pop(prefix, None)
        if not reading.cancelled():
            reading.exception()  # seen, even if every request that waited for it is gone

    async def _read(self, prefix: str) -> KeyRecord | None:
        read_at = self._clock.monotonic()
        record, now = await self._database.read(find_key, prefix)
        # The database's clock and this machine's may differ: what counts is how long the key has left.
        left = FRESH_SECONDS if record is None or record.expires_at is None else record.expires_at - now
        self._cached[prefix] = _Cached(read_at + min(left, FRESH_SECONDS), record)
        self._cached.move_to_end(prefix)
        while len(self._cached) > CACHED_KEYS:
            self._cached.popitem(last=False)
        return record
