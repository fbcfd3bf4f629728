"""The broker of a single process: one queue a topic. Its length is bounded by the scheduler's release windows."""

from collections.abc import Sequence

from app.broker.base import Delivery
from app.broker.waiting import WaitingWork
from app.models.events import Topic
from app.models.job import Stage, Work


class InProcessConsumer:
    """The one consumer of a stage's queue."""

    def __init__(self) -> None:
        self._waiting = WaitingWork()

    def put(self, work: Work) -> None:
        self._waiting.put([Delivery(work)])

    async def receive(self, limit: int) -> list[Delivery]:
        return await self._waiting.take(limit)

    def others_wait(self, job_id: str) -> bool:
        return self._waiting.others(job_id)

    def waiting(self) -> int:
        return len(self._waiting)

    def acknowledge(self, delivery: Delivery) -> None:
        """Its place is free. What a process held when it died is found in the store."""
        self._waiting.finished(delivery)


class InProcessBroker:
    """All topics of one process."""

    system = "in_process"

    def __init__(self) -> None:
        self._consumers = {stage: InProcessConsumer() for stage in Stage}

    def topic(self, topic: Topic) -> str:
        return str(topic)

    def group(self, stage: Stage) -> str | None:
        return None

    async def start(self) -> None:
        """Ready from the beginning."""

    async def prepare(self) -> str:
        """The same for ever: what its queues held at the end of a process is found in the store."""
        return "in-process"

    async def check(self) -> None:
        """There as long as its process."""

    async def close(self) -> None:
        """Holds nothing that must be let go."""

    async def publish(self, works: Sequence[Work]) -> None:
        for work in works:
            self._consumers[work.stage].put(work)

    def unsent(self) -> dict[str, int]:
        """Nothing is on its way: what is published is there."""
        return {}

    def consumer(self, stage: Stage) -> InProcessConsumer:
        return self._consumers[stage]
