"""Messages that are no work: each to the dead-letter topic once, with its cause, while the partition goes on."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

import pytest
from confluent_kafka import Message, Producer
from sqlalchemy import select

from app.broker.base import Delivery
from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.envelope import envelope_of
from app.broker.kafka import KafkaBroker
from app.broker.kafka_consumer import Position
from app.broker.poison import CAUSE_LENGTH, VALUE_BYTES
from app.clock import SystemClock
from app.models.events import Topic
from app.models.job import Stage, Work
from app.store.database import Database, Transaction
from app.store.release import Window, release
from app.store.schema import tasks
from app.store.tasks import claim
from tests.support.kafka import own_topics, read, send
from tests.support.librdkafka import produce_with_header_name
from tests.support.malformed import malformed
from tests.support.store import new_job

pytestmark = pytest.mark.kafka

SECONDS = 60.0

_numbers = count(1)


@dataclass(frozen=True)
class Installation:
    """Topics of this test's own, and a process on them after another."""

    bootstrap_servers: str
    prefix: str

    def process(self) -> KafkaBroker:
        return KafkaBroker(
            KafkaConnection(self.bootstrap_servers),
            f"{self.prefix}group",
            SystemClock(),
            layout=TopicLayout(partitions=1),
            topic_prefix=self.prefix,
        )

    async def send(self, *values: bytes | None) -> None:
        """To the reviews stage, as anybody might."""
        await send(self.bootstrap_servers, self.prefix + Topic.FETCH_REVIEWS, *values)

    async def letters(self) -> list[Message]:
        return await read(self.bootstrap_servers, self.prefix + Topic.DEAD_LETTERS)


@pytest.fixture
async def installation(kafka_bootstrap_servers: str) -> AsyncIterator[Installation]:
    async with own_topics(kafka_bootstrap_servers) as prefix:
        yield Installation(kafka_bootstrap_servers, prefix)


@pytest.fixture
async def broker(installation: Installation) -> AsyncIterator[KafkaBroker]:
    opened = installation.process()
    await opened.start()
    await opened.prepare()
    yield opened
    await opened.close()


def _work() -> Work:
    number = next(_numbers)
    return Work(number, 1, Stage.REVIEWS, "default", "job-1", f"locations/{number}", "accounts/1", "")


def _changed(change: Callable[[dict[str, Any]], object], work: Work | None = None) -> bytes:
    envelope = envelope_of(work or _work(), 0.0).model_dump(mode="json")
    change(envelope)
    return json.dumps(envelope).encode()


POISON = {
    "not JSON": (b"\xff\x00 no json", "Invalid JSON"),
    "no value": (None, "no value"),
    "an empty value": (b"", "Invalid JSON"),
    "another JSON": (b"[1, 2, 3]", "Not a work event"),
    "half an envelope": (b'{"topic": "fetch-reviews"}', "message: Field required"),
    "an unknown type of event": (_changed(lambda e: e["message"].update(type="fetch_all")), "fetch_all"),
    "an unknown version": (_changed(lambda e: e.update(schema_version=2)), "schema_version"),
    "no task": (_changed(lambda e: e["message"].pop("task_id")), "task_id: Field required"),
    "a number no task has": (_changed(lambda e: e["message"].update(task_id=2**70)), "task_id"),
    "another stage": (_changed(lambda e: None, _work()._replace(stage=Stage.ACCOUNTS)), "accounts does not belong"),
    "another topic's event": (_changed(lambda e: e.update(topic="fetch-accounts")), "does not belong"),
    "a megabyte of nothing": (b"x" * 1_000_000, "Invalid JSON"),
    "a type of a megabyte": (_changed(lambda e: e["message"].update(type="x" * 900_000)), "Not a work event"),
    "deep JSON": (b"[" * 500_000, "Invalid JSON"),
}


async def test_every_kind_of_poison_is_buried_once_and_good_work_goes_on(
    installation: Installation, broker: KafkaBroker
) -> None:
    values = [value for value, _ in POISON.values()]
    good = [_work() for _ in values]
    for value, work in zip(values, good, strict=True):
        await installation.send(value)
        await broker.publish([work])
    received = await _receive(broker, len(good))
    assert [delivery.work for delivery in received] == good, "in order: nothing was held up"
    for delivery in received:
        broker.consumer(Stage.REVIEWS).acknowledge(delivery)
    await broker.close()
    assert await _comes_next(installation) == "marker", "neither good nor bad comes again"

    letters = await installation.letters()
    assert [letter.value() for letter in letters] == [value and value[:VALUE_BYTES] for value in values]
    for letter, (kind, (_, cause)) in zip(letters, POISON.items(), strict=True):
        assert cause in _headers(letter)["cause"], kind
        assert len(_headers(letter)["cause"]) <= CAUSE_LENGTH + 1, kind


async def test_hundreds_of_malformed_messages_leave_the_good_ones_alone(
    installation: Installation, broker: KafkaBroker
) -> None:
    """Ten thousand more without a Kafka: `tests/unit/broker/test_malformed.py`."""
    random = Random(6)
    bodies = [envelope_of(_work()._replace(stage=stage), 0.0).model_dump_json().encode() for stage in Stage]
    bad = [malformed(random, bodies) for _ in range(400)]
    good = [_work()._replace(job_id="good") for _ in range(40)]
    for number, work in enumerate(good):
        await installation.send(*bad[10 * number : 10 * number + 10])
        await broker.publish([work])
    received: list[Delivery] = []
    async with asyncio.timeout(SECONDS):
        while sum(delivery.work.job_id == "good" for delivery in received) < len(good):
            received += await broker.consumer(Stage.REVIEWS).receive(100)
    assert [delivery.work for delivery in received if delivery.work.job_id == "good"] == good
    for delivery in received:
        broker.consumer(Stage.REVIEWS).acknowledge(delivery)
    await broker.close()
    buried = [int(_headers(letter)["source_offset"]) for letter in await installation.letters()]
    taken = [delivery.position.offset for delivery in received if isinstance(delivery.position, Position)]
    assert sorted(buried + taken) == list(range(len(bad) + len(good))), "each ended in one place, once"
    assert len(buried) > 300
    assert await _comes_next(installation) == "marker", "neither good nor bad comes again"


async def test_poison_is_buried_where_it_can_be_found_again(installation: Installation, broker: KafkaBroker) -> None:
    await installation.send(b"first", b"second")
    await broker.publish([_work()])
    await _receive(broker, 1)
    await broker.close()
    topic = installation.prefix + Topic.FETCH_REVIEWS
    found = [_headers(letter) for letter in await installation.letters()]
    assert [(each["source_topic"], each["source_partition"], each["source_offset"]) for each in found] == [
        (topic, "0", "0"),
        (topic, "0", "1"),
    ]
    assert [each["message_id"] for each in found] == [f"{topic}_0_0", f"{topic}_0_1"]


async def test_more_poison_than_a_process_holds_is_buried_each_once(
    installation: Installation, broker: KafkaBroker
) -> None:
    poison = [b"poison %d" % number for number in range(500)]
    await installation.send(*poison)
    work = _work()
    await broker.publish([work])
    (received,) = await _receive(broker, 1)
    assert received.work == work
    await broker.close()
    buried = Counter(letter.value() for letter in await installation.letters())
    assert buried == Counter(poison)


async def test_forged_messages_claim_nothing_and_hold_nothing_up(
    installation: Installation, broker: KafkaBroker, database: Database
) -> None:
    """The schema holds and nothing else does. What names another job's task is the worker's to refuse."""
    await new_job(database)
    true = (await database.write(release, Stage.ACCOUNTS, Window(10, 10))).works
    (task,) = true
    forged = [
        task._replace(task_id=task.task_id + 1_000_000),
        task._replace(version=task.version + 1),
        task._replace(version=max(task.version - 1, 0)),
        task._replace(task_id=2**63 - 1, version=2**63 - 1),
    ]
    await broker.publish(forged)
    await broker.publish(true)
    received = await _receive(broker, len(forged) + 1, Stage.ACCOUNTS)
    assert [delivery.work for delivery in received] == [*forged, task]
    for delivery in received[:-1]:
        wanted = [(delivery.work.task_id, delivery.work.version)]
        assert await database.write(claim, wanted, "worker", 15.0) == []
        broker.consumer(Stage.ACCOUNTS).acknowledge(delivery)
    assert await database.read(_versions) == {task.task_id: task.version}, "the forged ones changed nothing"
    assert len(await database.write(claim, [(task.task_id, task.version)], "worker", 15.0)) == 1
    await broker.close()
    assert await installation.letters() == []


def _versions(transaction: Transaction) -> dict[int, int]:
    return {row.id: row.version for row in transaction.connection.execute(select(tasks.c.id, tasks.c.version))}


async def _receive(broker: KafkaBroker, number: int, stage: Stage = Stage.REVIEWS) -> list[Delivery]:
    received: list[Delivery] = []
    async with asyncio.timeout(SECONDS):
        while len(received) < number:
            received += await broker.consumer(stage).receive(100)
    return received


async def _comes_next(installation: Installation) -> str:
    """The job of what the next process receives first, when the job `marker` is published behind all else."""
    process = installation.process()
    await process.start()
    await process.publish([_work()._replace(job_id="marker")])
    (first, *_) = await _receive(process, 1)
    await process.close()
    return first.work.job_id


def _headers(letter: Message) -> dict[str, str]:
    found = dict(letter.headers() or [])
    return {name: value.decode() if isinstance(value, bytes) else str(value) for name, value in found.items()}


async def test_a_header_whose_name_is_no_text_stops_nobody(installation: Installation, broker: KafkaBroker) -> None:
    """Kafka looks at no name; confluent-kafka raises SystemError when it is asked for such headers."""
    topic, work = installation.prefix + Topic.FETCH_REVIEWS, _work()
    producer = Producer({"bootstrap.servers": installation.bootstrap_servers})
    produce_with_header_name(producer, topic, _changed(lambda _: None, work), b"\xff")
    produce_with_header_name(producer, topic, b"junk", b"\xff\xfe")
    assert await asyncio.to_thread(producer.flush, SECONDS) == 0
    after = _work()
    await installation.send(_changed(lambda _: None, after))
    received = await _receive(broker, 2)
    assert [one.work.task_id for one in received] == [work.task_id, after.task_id]
    for delivery in received:
        broker.consumer(Stage.REVIEWS).acknowledge(delivery)
    await broker.close()
    (letter,) = await installation.letters()
    assert letter.value() == b"junk"
