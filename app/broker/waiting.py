"""Work that a process has and no worker has taken yet."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

from app.broker.base import Delivery


class WaitingWork:
    """A queue that serves the jobs in turn, one piece of work each. For one event loop; whoever fills it bounds it."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[str, deque[Delivery]] = OrderedDict()
        self._filled = asyncio.Event()
        self._error: Exception | None = None

    def put(self, deliveries: Iterable[Delivery]) -> None:
        for delivery in deliveries:
            self._jobs.setdefault(delivery.work.job_id, deque()).append(delivery)
        self._note_filled()

    async def take(self, limit: int) -> list[Delivery]:
        """Up to `limit`, at least one: waits for it. A cancelled wait takes nothing; raises what `fail` left."""
        while not self._jobs:
            await self._filled.wait()
            self._raise_once()
        taken: list[Delivery] = []
        while self._jobs and len(taken) < limit:
            taken.append(self._pop())
        self._note_filled()
        return taken

    def remove(self, unwanted: Callable[[Delivery], bool]) -> int:
        """Take out what nobody here shall work on; how many that were."""
        before = [delivery for of_job in self._jobs.values() for delivery in of_job]
        kept = [delivery for delivery in before if not unwanted(delivery)]
        self._jobs.clear()
        self.put(kept)
        return len(before) - len(kept)

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
        job_id, of_job = self._jobs.popitem(last=False)
        delivery = of_job.popleft()
        if of_job:
            self._jobs[job_id] = of_job
        return delivery

    def _note_filled(self) -> None:
        if self._jobs or self._error:
            self._filled.set()
        else:
            self._filled.clear()
