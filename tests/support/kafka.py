"""Topics of a test's own on a real Kafka, and a reader that is none of ours."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from app.models.job import Stage

SECONDS = 20.0
"""The deadline of every exchange with Kafka: ample, so that only what is broken meets it."""


@asynccontextmanager
async def own_topics(bootstrap_servers: str) -> AsyncIterator[str]:
    """A prefix; the topics and groups whose names begin with it are deleted afterwards."""
    prefix = f"test-{uuid4().hex[:12]}-"
    yield prefix
    await asyncio.to_thread(_delete, bootstrap_servers, prefix)


def _delete(bootstrap_servers: str, prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    topics = [name for name in admin.list_topics(timeout=SECONDS).topics if name.startswith(prefix)]
    for deleted in admin.delete_topics(topics).values() if topics else ():
        deleted.result(SECONDS)
    listed = admin.list_consumer_groups().result(SECONDS).valid
    groups = [group.group_id for group in listed if group.group_id.startswith(prefix)]
    for gone in admin.delete_consumer_groups(groups).values() if groups else ():
        _deleted(gone)


def _deleted(gone: "Future[None]") -> None:
    """The members of a process that was killed stay for their session's time, and keep their group; one without members
    and offsets may have been cleaned up by the broker since it was listed."""
    try:
        gone.result(SECONDS)
    except KafkaException as error:
        if error.args[0].code() not in (KafkaError.NON_EMPTY_GROUP, KafkaError.GROUP_ID_NOT_FOUND):
            raise


def members_at_work(bootstrap_servers: str, prefix: str, stage: Stage) -> int:
    """How many consumers of the stage's group, whose name begins with it, have partitions."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    listed = admin.list_consumer_groups(request_timeout=SECONDS).result(SECONDS).valid
    names = [group.group_id for group in listed]
    groups = [name for name in names if name.startswith(prefix) and name.endswith(f"-{stage}")]
    described = admin.describe_consumer_groups(groups, request_timeout=SECONDS).values() if groups else ()
    members = [member for group in described for member in group.result(SECONDS).members]
    return sum(bool(member.assignment and member.assignment.topic_partitions) for member in members)


async def create_topic(bootstrap_servers: str, topic: str, partitions: int = 1) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    created = admin.create_topics([NewTopic(topic, num_partitions=partitions)])
    await asyncio.to_thread(created[topic].result, SECONDS)


async def delete_topic(bootstrap_servers: str, topic: str) -> None:
    """Returns when Kafka has forgotten it: for a moment after its deletion a broker may still tell of it."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    await asyncio.to_thread(admin.delete_topics([topic])[topic].result, SECONDS)
    async with asyncio.timeout(SECONDS):
        while topic in await topics(bootstrap_servers, topic):  # noqa: ASYNC110 - Kafka has no event for it
            await asyncio.sleep(0.05)


async def topics(bootstrap_servers: str, prefix: str) -> list[str]:
    """The topics whose names begin with it, in order."""
    listed = await asyncio.to_thread(AdminClient({"bootstrap.servers": bootstrap_servers}).list_topics, timeout=SECONDS)
    return sorted(name for name in listed.topics if name.startswith(prefix))


async def send(bootstrap_servers: str, topic: str, *values: bytes | None) -> None:
    """Plain messages, as somebody else might send them."""
    await asyncio.to_thread(_send, bootstrap_servers, topic, values)


def _send(bootstrap_servers: str, topic: str, values: tuple[bytes | None, ...]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap_servers, "message.max.bytes": 2_000_000})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(SECONDS) == 0


class GroupOffset:
    """What a group has committed on partition 0 of a topic: the position of a publisher."""

    def __init__(self, bootstrap_servers: str, group: str, topic: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap_servers, "group.id": group, "enable.auto.commit": False}
        )
        self._partition = TopicPartition(topic, 0)

    def read(self) -> int:
        """0 when there is none."""
        (found,) = self._consumer.committed([self._partition], SECONDS)
        return max(found.offset, 0)

    def close(self) -> None:
        self._consumer.close()


async def read(bootstrap_servers: str, topic: str) -> list[Message]:
    """All that a `read_committed` consumer finds on the topic now."""
    return await asyncio.to_thread(_read, bootstrap_servers, topic)


def count_committed(bootstrap_servers: str, topic: str) -> int:
    """How many messages a `read_committed` consumer finds on the topic now; holds one at a time."""
    return sum(1 for _ in _committed(bootstrap_servers, topic))


def _read(bootstrap_servers: str, topic: str) -> list[Message]:
    return list(_committed(bootstrap_servers, topic))


def _committed(bootstrap_servers: str, topic: str) -> Iterator[Message]:
    with _reader(bootstrap_servers, "read_committed") as reader:
        partitions = reader.list_topics(topic, timeout=SECONDS).topics[topic].partitions
        yield from _to_the_end(reader, topic, list(partitions))


@asynccontextmanager
async def following(bootstrap_servers: str, topic: str) -> AsyncIterator[Callable[[], Awaitable[Message]]]:
    """A `read_committed` consumer at the topic's end, as readers are that run all the time: what waits for its next
    message."""
    with _reader(bootstrap_servers, "read_committed") as reader:
        partitions = reader.list_topics(topic, timeout=SECONDS).topics[topic].partitions
        await asyncio.to_thread(list, _to_the_end(reader, topic, list(partitions)))
        yield partial(asyncio.to_thread, _next, reader)


def _next(reader: Consumer) -> Message:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        message = reader.poll(1.0)
        if message is not None and message.error() is None:
            return message
    raise TimeoutError(f"no message within {SECONDS:.0f} s")


def all_messages(bootstrap_servers: str, prefix: str) -> Iterator[tuple[str, Iterator[Message]]]:
    """Each topic whose name begins with it, and all that it holds, whether its transaction was committed or not."""
    with _reader(bootstrap_servers, "read_uncommitted") as reader:
        listed = reader.list_topics(timeout=SECONDS).topics
        for topic in sorted(name for name in listed if name.startswith(prefix)):
            yield topic, _to_the_end(reader, topic, list(listed[topic].partitions))


@contextmanager
def _reader(bootstrap_servers: str, isolation: str) -> Iterator[Consumer]:
    settings = {"bootstrap.servers": bootstrap_servers, "group.id": "unused", "enable.auto.commit": False}
    settings |= {"fetch.wait.max.ms": 10}  # a broker says only after this that a partition has ended
    reader = Consumer(settings | {"isolation.level": isolation, "enable.partition.eof": True})
    try:
        yield reader
    finally:
        reader.close()


def _to_the_end(reader: Consumer, topic: str, partitions: list[int]) -> Iterator[Message]:
    reader.assign([TopicPartition(topic, number, 0) for number in partitions])
    ended: set[int | None] = set()
    while len(ended) < len(partitions):
        message = reader.poll(SECONDS)
        assert message is not None, f"{topic} could not be read to its end"
        error = message.error()
        if error is None:
            yield message
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
        else:
            raise KafkaException(error)
