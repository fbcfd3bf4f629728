"""A clock that moves only when a test says so."""

import asyncio
import heapq
import itertools


class ManualClock:
    """Sleepers wake, in order of their due times, when `advance` passes them. Starts at 1,700,000,000 (2023-11-14)."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._start = start
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now - self._start

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), woken))
        await woken

    @property
    def sleepers(self) -> int:
        """How many are asleep now."""
        return sum(1 for _, _, woken in self._sleepers if not woken.done())

    def skip(self, seconds: float) -> None:
        """It is so much later, and nobody has noticed: who would have woken meanwhile wakes at the next `advance`."""
        self._now += seconds

    async def advance(self, seconds: float) -> None:
        """Move on, stopping at each due time so that what wakes there may sleep again before the next."""
        target = self._now + seconds
        await settle_loop()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, due)
            if not woken.done():
                woken.set_result(None)
            await settle_loop()
        self._now = target
        await settle_loop()


async def settle_loop(rounds: int = 20) -> None:
    """Let every ready callback of the event loop run."""
    for _ in range(rounds):
        await asyncio.sleep(0)
