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
    """The machine's clocks and the event loop's timer."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
