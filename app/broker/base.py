"""The port: publish work, receive it, acknowledge it. What is lost or doubled here does no harm (claims decide)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.models.events import Topic
from app.models.job import Stage, Work


class BrokerUnavailableError(Exception):
    """The broker did not take the messages. What was released is released again later."""


class TopicLayoutError(Exception):
    """The topics are not as the settings say. The message names them, what is, what was asked, and what to do."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One work message as received; `position` is the broker's own name for it."""

    work: Work
    position: object = None


class Consumer(Protocol):
    """One worker's view of one topic. Used by one task of the event loop at a time, except `acknowledge`."""

    async def receive(self, limit: int) -> list[Delivery]:
        """Up to `limit` deliveries, at least one: waits for it. A wait that is cancelled takes nothing.

        Raises `BrokerUnavailableError` once when reading has ended; asking again begins anew, with what is not
        acknowledged.
        """
        ...

    def others_wait(self, job_id: str) -> bool:
        """Whether work of another job is here already and waits for a free place."""
        ...

    def waiting(self) -> int:
        """How much work is here already and waits for a free place."""
        ...

    def acknowledge(self, delivery: Delivery) -> None:
        """Done with it: settled, given back, or not ours to do. Never waits, in any order, once or often.

        What is not acknowledged may come again, to any process, as long as the broker lives.
        """
        ...


class Broker(Protocol):
    """Where topics live: one set for all processes (Kafka), or this process's own. `system`: its name in traces."""

    system: str

    def topic(self, topic: Topic) -> str:
        """What the broker calls it."""
        ...

    def group(self, stage: Stage) -> str | None:
        """The group of all processes that share the work of a stage; None where there is one process."""
        ...

    async def start(self) -> None:
        """Ready to be asked: makes what is local, needs no network. May be called again."""
        ...

    async def prepare(self) -> str:
        """Create the topics that are missing, hold the others to their layout, and return who the work topics are.

        Another answer than before: work that was published earlier is gone, because the cluster or a topic was made
        anew. Raises `TopicLayoutError`, or `BrokerUnavailableError` and may be called again.
        """
        ...

    async def check(self) -> None:
        """Raises `BrokerUnavailableError` when the broker does not answer within 5 s."""
        ...

    async def close(self) -> None:
        """Idempotent, and over within a deadline even while the broker does not answer."""
        ...

    async def publish(self, works: Sequence[Work]) -> None:
        """Returns when the broker has them; raises `BrokerUnavailableError` when it may not."""
        ...

    def unsent(self) -> dict[str, int]:
        """Producer → how many of its messages the broker has not confirmed yet."""
        ...

    def consumer(self, stage: Stage) -> Consumer:
        """The process's one consumer of a stage. It reads from its first `receive` on."""
        ...
