"""One look a second at all connections of a process, and one line for those that had to go."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Protocol

import structlog

from app.edge.bounds import LOOK_SECONDS
from app.telemetry.events import Event

log = structlog.get_logger(__name__)


class Watched(Protocol):
    """What is looked at."""

    def look(self, now: float) -> None:
        """`now`: the loop's time."""


class ConnectionClock:
    """Looks while there are connections. What is counted is logged with the next look: a flood writes no flood."""

    def __init__(self) -> None:
        self._running = False
        self._ended: Counter[str] = Counter()

    def watch(self, loop: asyncio.AbstractEventLoop, connections: Iterable[Watched]) -> None:
        """From the first connection on, until `connections` is empty."""
        if not self._running:
            self._running = True
            loop.call_later(LOOK_SECONDS, self._look, loop, connections)

    def count(self, why: str) -> None:
        """A connection was ended: `crowd`, `silent`, `never_read`."""
        self._ended[why] += 1

    def _look(self, loop: asyncio.AbstractEventLoop, connections: Iterable[Watched]) -> None:
        looked_at = tuple(connections)
        now = loop.time()
        for connection in looked_at:
            connection.look(now)
        if self._ended:
            log.info(Event.CONNECTIONS_ENDED, **self._ended)
            self._ended.clear()
        self._running = False
        if looked_at:
            self.watch(loop, connections)
