"""Time as an argument: what waits or measures takes a `Clock`, so that a test decides what time it is."""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Protocol


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


async def first_done(clock: Clock, seconds: float, futures: Iterable[asyncio.Future[Any]]) -> None:
    """Until one of the futures is done, or so much time has passed by this clock. They go on, whatever they do."""
    timer = asyncio.ensure_future(clock.sleep(max(0.0, seconds)))
    try:
        await asyncio.wait({timer, *futures}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()


async def until_set(clock: Clock, event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, or so much time has passed by this clock."""
    waker = asyncio.ensure_future(event.wait())
    try:
        await first_done(clock, seconds, (waker,))
    finally:
        waker.cancel()
