"""A publisher over a real Kafka and a store, run until it has sent everything, and what its readers find."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import msgspec
from confluent_kafka import Message

from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.topics import KafkaTopics
from app.broker.transactions import FencedError
from app.clock import SystemClock
from app.models.events import Topic
from app.results.publisher import ReviewPublisher
from app.store.database import Database
from app.store.outbox import Lag, lag
from tests.support.kafka import GroupOffset, read

GROUP = "service"
LAYOUT = TopicLayout(partitions=3)
PATIENCE = 30.0


@dataclass(frozen=True)
class Site:
    """A store, and topics of its own on a Kafka."""

    store: Database
    bootstrap_servers: str
    prefix: str

    @property
    def topic(self) -> str:
        return self.prefix + Topic.REVIEWS_RAW

    @property
    def group(self) -> str:
        return f"{self.prefix}{GROUP}-publisher"

    def publisher(self, layout: TopicLayout = LAYOUT, deadline: float = 10.0) -> ReviewPublisher:
        return ReviewPublisher(
            self.store,
            KafkaConnection(self.bootstrap_servers),
            self.prefix + GROUP,
            SystemClock(),
            layout=layout,
            topic_prefix=self.prefix,
            deadline=deadline,
        )

    async def create_topics(self, layout: TopicLayout = LAYOUT) -> None:
        connection = KafkaConnection(self.bootstrap_servers)
        topics = KafkaTopics(connection, layout, SystemClock(), prefix=self.prefix, deadline=PATIENCE)
        await asyncio.to_thread(topics.prepare)

    async def reached(self) -> int:
        """The position that Kafka has."""
        offset = GroupOffset(self.bootstrap_servers, self.group, self.topic)
        try:
            return await asyncio.to_thread(offset.read)
        finally:
            offset.close()

    async def all_sent(self) -> bool:
        """Whether the store knows that everything it has announced is in the topic."""
        return await self.store.read(lag) == Lag(0, 0.0)

    async def messages(self, topic: Topic = Topic.REVIEWS_RAW) -> list[Message]:
        """What a `read_committed` consumer finds now."""
        return await read(self.bootstrap_servers, self.prefix + topic)

    async def keys(self) -> Counter[str]:
        return Counter((message.key() or b"").decode() for message in await self.messages())


@asynccontextmanager
async def leading(publisher: ReviewPublisher) -> AsyncIterator["asyncio.Task[None]"]:
    """`running`, and again whenever Kafka fences it, as the only replica would."""

    async def lead() -> None:
        while True:
            with suppress(FencedError):
                await publisher.run()

    async with _cancelled(asyncio.create_task(lead())) as task:
        yield task


@asynccontextmanager
async def running(publisher: ReviewPublisher) -> AsyncIterator["asyncio.Task[None]"]:
    """Its `run`, cancelled at the end; what it failed with is raised."""
    async with _cancelled(asyncio.create_task(publisher.run())) as task:
        yield task


@asynccontextmanager
async def _cancelled(task: "asyncio.Task[None]") -> AsyncIterator["asyncio.Task[None]"]:
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))
    if not task.cancelled() and (error := task.exception()) is not None:
        raise error


async def until(look: Callable[[], Awaitable[bool]], publishing: "asyncio.Task[None] | None" = None) -> None:
    """Returns as soon as `look` says so; raises what the publisher died of meanwhile."""
    async with asyncio.timeout(PATIENCE):
        while not await look():
            if publishing is not None and publishing.done():
                publishing.result()


async def send_all(site: Site) -> None:
    """Run a publisher until everything is sent."""
    async with running(site.publisher()) as publishing:
        await until(site.all_sent, publishing)


def decoded(message: Message) -> dict[str, Any]:
    """Its envelope."""
    value: dict[str, Any] = msgspec.json.decode(message.value() or b"")
    return value
