"""Commands that go on until somebody ends them, and services that come back."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from app.cli.exits import AwayError
from app.cli.screen import say

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0


async def interrupted(work: Coroutine[Any, Any, None]) -> bool:
    """Runs `work` to its end; True when Ctrl-C or SIGTERM ended it before, at the next thing it waited for."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        await asyncio.wait({task})
    finally:
        task.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    if task.cancelled():
        return True
    task.result()
    return False


class Patience:
    """With a service that answered before and now does not. One that never did is a mistake, and is told at once."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._answered = False
        self._seconds = FIRST_PAUSE_SECONDS

    def answered(self) -> None:
        """It is there: the next pause is a short one again."""
        self._answered = True
        self._seconds = FIRST_PAUSE_SECONDS

    async def wait(self, error: AwayError) -> None:
        """Raises the error, or says it and returns after a pause, each twice as long as the one before."""
        if not self._answered:
            raise error
        say(f"{error} Trying again in {self._seconds:g} s.")
        await self._sleep(self._seconds)
        self._seconds = min(2 * self._seconds, LONGEST_PAUSE_SECONDS)
