"""Work that a process has and no worker has taken yet."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable

from app.broker.base import Delivery


class WaitingWork:
    """A queue that knows whose work is in it. For one event loop; whoever fills it bounds it."""

    def __init__(self) -> None:
        self._queue: deque[Delivery] = deque()
        self._jobs: Counter[str] = Counter()
        self._filled = asyncio.Event()
        self._error: Exception | None = None

    def put(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._queue.append(delivery)
            self._jobs[delivery.work.job_id] += 1
        self._note_filled()

    async def take(self, limit: int) -> list[Delivery]:
        """Up to `limit`, at least one: waits for it. A cancelled wait takes nothing; raises what `fail` left."""
        while not self._queue:
            await self._filled.wait()
            self._raise_once()
        taken = [self._pop() for _ in range(min(limit, len(self._queue)))]
        self._note_filled()
        return taken

    def remove(self, unwanted: Callable[[Delivery], bool]) -> int:
        """Take out what nobody here shall work on; how many that were."""
        before = len(self._queue)
        kept = [delivery for delivery in self._queue if not unwanted(delivery)]
        self._queue.clear()
        self._jobs.clear()
        self.put(kept)
        return before - len(kept)

    def fail(self, error: Exception) -> None:
        """Nothing more will come: whoever waits, or will wait next, learns why."""
        self._error = error
        self._filled.set()

    def others(self, job_id: str) -> bool:
        """Whether work of another job is here."""
        return len(self._jobs) > (job_id in self._jobs)

    def _raise_once(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            self._note_filled()
            raise error

    def _pop(self) -> Delivery:
        delivery = self._queue.popleft()
        job_id = delivery.work.job_id
        self._jobs[job_id] -= 1
        if not self._jobs[job_id]:
            del self._jobs[job_id]
        return delivery

    def _note_filled(self) -> None:
        if self._queue or self._error:
            self._filled.set()
        else:
            self._filled.clear()
