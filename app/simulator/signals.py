"""What tests wait for instead of sleeping: named counts, and calls that are held until they are released."""

import asyncio
from collections import Counter
from contextlib import suppress


class Signals:
    """Counts by name (`arrived`, `answered`, `held`, `arrived:reviews`, `fault:hold` …) that can be awaited."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._changed = asyncio.Event()
        self._waiters = 0

    def count(self, *names: str) -> None:
        """Counts one more of each."""
        for name in names:
            self.counts[name] += 1
        if self._waiters:
            self._changed.set()
            self._changed = asyncio.Event()

    async def reached(self, wanted: dict[str, int], timeout: float) -> bool:
        """Whether every count got that high within `timeout` seconds."""
        self._waiters += 1
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    while not self._have(wanted):
                        await self._changed.wait()
        finally:
            self._waiters -= 1
        return self._have(wanted)

    def _have(self, wanted: dict[str, int]) -> bool:
        return all(self.counts[name] >= count for name, count in wanted.items())


class Gate:
    """Where held calls wait; once opened it lets all of them and every later one through."""

    def __init__(self) -> None:
        self._held: list[asyncio.Event] = []
        self._open = asyncio.Event()

    @property
    def held(self) -> int:
        return len(self._held)

    async def hold(self) -> None:
        """Waits until released."""
        release = asyncio.Event()
        self._held.append(release)
        try:
            if not self._open.is_set():
                await release.wait()
        finally:
            with suppress(ValueError):
                self._held.remove(release)

    async def pause(self, seconds: float | None) -> None:
        """Waits that long (None: for ever), or until the simulator stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._open.wait()

    def close(self) -> None:
        """Holds and pauses wait again."""
        self._open.clear()

    def release(self, count: int | None = None) -> int:
        """Lets the first `count` held calls go on (all without it); how many that were."""
        going = self._held[:count]
        self._held = self._held[len(going) :]
        for release in going:
            release.set()
        return len(going)

    def open(self) -> None:
        """Ends every hold and pause, now and from now on."""
        self._open.set()
        self.release()
