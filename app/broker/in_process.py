"""The broker of a single process: one queue a topic. Its length is bounded by the scheduler's release windows."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence

from app.broker.base import Delivery
from app.models.job import Stage, Work


class InProcessConsumer:
    """The one consumer of a stage's queue."""

    def __init__(self) -> None:
        self._queue: deque[Work] = deque()
        self._jobs: Counter[str] = Counter()
        self._filled = asyncio.Event()

    def put(self, work: Work) -> None:
        self._queue.append(work)
        self._jobs[work.job_id] += 1
        self._filled.set()

    async def receive(self, limit: int) -> list[Delivery]:
        await self._filled.wait()
        taken = [self._take() for _ in range(min(limit, len(self._queue)))]
        if not self._queue:
            self._filled.clear()
        return taken

    def others_wait(self, job_id: str) -> bool:
        return len(self._jobs) > (job_id in self._jobs)

    def acknowledge(self, delivery: Delivery) -> None:
        """Nothing to do: what a process held when it died is found in the store."""

    def _take(self) -> Delivery:
        work = self._queue.popleft()
        self._jobs[work.job_id] -= 1
        if not self._jobs[work.job_id]:
            del self._jobs[work.job_id]
        return Delivery(work)


class InProcessBroker:
    """All topics of one process."""

    def __init__(self) -> None:
        self._consumers = {stage: InProcessConsumer() for stage in Stage}

    async def start(self) -> None:
        """Ready from the beginning."""

    async def close(self) -> None:
        """Holds nothing that must be let go."""

    async def publish(self, works: Sequence[Work]) -> None:
        for work in works:
            self._consumers[work.stage].put(work)

    def consumer(self, stage: Stage) -> InProcessConsumer:
        return self._consumers[stage]
