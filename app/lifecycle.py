"""Loops that must not stay dead: restarted with backoff, counted, and told to whoever asks whether all is well."""

import asyncio
import gc
from collections.abc import Awaitable, Callable

import structlog

from app.clock import Clock
from app.telemetry.events import Event

DEATHS_UNTIL_UNREADY = 3

GARBAGE_THRESHOLD = 20_000
"""New containers until the youngest generation is looked through; Python's default is 700."""

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 10.0
MOST_DOUBLINGS = 10
"""The longest backoff is reached by then. Without an end the 1,025th death in a row would be one of arithmetic."""

HEALTHY_AFTER_SECONDS = 60.0
"""A loop that ran this long since its last death is well again."""

log = structlog.get_logger(__name__)


def calm_garbage_collector() -> None:
    """Once everything is imported and made: leave it out of every further collection, and collect less often.

    Requests and pages die by themselves; looking through all the code's objects for cycles again and again cost about
    a fifth of the rate at which jobs are accepted.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 50)


class Loop:
    """One named loop. `start` returns at once; `stop` cancels it and returns when it has ended. Both idempotent.

    `restarted` is told the name at each death.
    """

    def __init__(
        self,
        name: str,
        body: Callable[[], Awaitable[None]],
        clock: Clock,
        restarted: Callable[[str], None] | None = None,
    ) -> None:
        self.name = name
        self._body = body
        self._clock = clock
        self._restarted = restarted
        self._deaths = 0
        self._began = 0.0
        self._task: asyncio.Task[None] | None = None

    @property
    def healthy(self) -> bool:
        """False after three deaths in a row, until it has run for a while."""
        return self._deaths < DEATHS_UNTIL_UNREADY or self._recovered()

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def finished(self) -> None:
        """Waits for a loop that ends by itself (its body returned)."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            self._began = self._clock.monotonic()
            try:
                await self._body()
            except Exception:
                self._died()
                await self._clock.sleep(self._backoff())
            else:
                return

    def _died(self) -> None:
        self._deaths = 1 if self._recovered() else self._deaths + 1
        if self._restarted is not None:
            self._restarted(self.name)
        log.exception(Event.LOOP_DIED, loop=self.name, deaths=self._deaths)

    def _recovered(self) -> bool:
        return self._clock.monotonic() - self._began >= HEALTHY_AFTER_SECONDS

    def _backoff(self) -> float:
        return float(min(LONGEST_BACKOFF_SECONDS, FIRST_BACKOFF_SECONDS * 2 ** min(self._deaths - 1, MOST_DOUBLINGS)))
