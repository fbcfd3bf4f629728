"""Time as an argument: what waits or measures takes a `Clock`, so that a test decides what time it is."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Seconds, both ways. `now` is the wall clock (epoch), `monotonic` never goes back."""

    def now(self) -> float: ...

    def monotonic(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clocks and the event loop's timer.

    A wall clock that is set back does not take this one along: what was due would not be due again until it has
    caught up. The next start of the process believes the machine again.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        monotonic = time.monotonic()
        now = max(time.time(), self._offset + monotonic)
        self._offset = now - monotonic  # one store: several threads may ask at once
        return now

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
