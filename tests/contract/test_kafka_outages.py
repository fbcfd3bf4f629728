"""A Kafka that dies, freezes or loses its disks: the same broker objects go on, and no call waits beyond its deadline.

The cluster is these tests' own. Topics are named apart, so that one test's end is not another's beginning.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count

import pytest

from app.broker.base import BrokerUnavailableError, Delivery
from app.broker.connection import TopicLayout
from app.broker.kafka import CHECK_SECONDS, KafkaBroker
from app.clock import SystemClock
from app.models.events import Topic
from app.models.job import Stage, Work
from tests.support.kafka import delete_topic
from tests.support.own_kafka import OwnKafka, running_kafka

pytestmark = [pytest.mark.alone, pytest.mark.kafka, pytest.mark.timeout(300)]

RECOVERY_SECONDS = 10.0
"""From the broker's first answer to the first work received."""

DEADLINE = 2.0
"""Of the tested broker's own exchanges: short, so that a frozen Kafka is given up soon."""

SLACK_SECONDS = 2.0
"""For a busy machine."""

_numbers = count(1)


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[OwnKafka]:
    with running_kafka() as own:
        yield own


@asynccontextmanager
async def _broker_on(own: OwnKafka, prefix: str) -> AsyncIterator[KafkaBroker]:
    opened = KafkaBroker(
        own.connection,
        f"{prefix}group",
        SystemClock(),
        layout=TopicLayout(partitions=2),
        topic_prefix=prefix,
        deadline=DEADLINE,
    )
    await opened.start()
    yield opened
    await opened.close()


@pytest.fixture
async def kafka(own_kafka: OwnKafka) -> OwnKafka:
    await asyncio.to_thread(own_kafka.start)
    return own_kafka


@pytest.fixture
async def broker(kafka: OwnKafka) -> AsyncIterator[KafkaBroker]:
    """In use: work has come through it."""
    async with _broker_on(kafka, f"test{next(_numbers)}-") as opened:
        await _prepared(opened)
        await _pass_through(opened)
        yield opened


async def _prepared(broker: KafkaBroker) -> str:
    """A Kafka that has just come up needs a while to make topics."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await broker.prepare()
            except BrokerUnavailableError:
                continue


def _work() -> Work:
    number = next(_numbers)
    return Work(number, 1, Stage.REVIEWS, "default", "job-1", f"locations/{number}", "accounts/1", "")


async def _pass_through(broker: KafkaBroker) -> list[Delivery]:
    """Publish until Kafka takes it, receive it, acknowledge it; returns all that came."""
    work = _work()
    async with asyncio.timeout(60):
        while not await _taken(broker, work):
            pass
        received: list[Delivery] = []
        while work not in [delivery.work for delivery in received]:
            received += await broker.consumer(Stage.REVIEWS).receive(100)
    for delivery in received:
        broker.consumer(Stage.REVIEWS).acknowledge(delivery)
    return received


async def _taken(broker: KafkaBroker, work: Work) -> bool:
    try:
        await broker.publish([work])
    except BrokerUnavailableError:
        return False
    return True


async def _down(broker: KafkaBroker) -> None:
    with pytest.raises(BrokerUnavailableError):
        await broker.check()


async def test_a_broker_killed_and_started_again_is_used_as_before(kafka: OwnKafka, broker: KafkaBroker) -> None:
    await broker.check()
    identity = await _prepared(broker)
    await asyncio.to_thread(kafka.kill)
    await _down(broker)
    await _down(broker)  # by now the session of its consumer is over
    await asyncio.to_thread(kafka.start)
    began = time.monotonic()
    await _pass_through(broker)
    assert time.monotonic() - began < RECOVERY_SECONDS + SLACK_SECONDS
    await broker.check()
    assert await _prepared(broker) == identity


async def test_a_frozen_broker_holds_up_no_call_beyond_its_deadline(kafka: OwnKafka, broker: KafkaBroker) -> None:
    with kafka.frozen():
        async with asyncio.timeout(CHECK_SECONDS + SLACK_SECONDS):
            await _down(broker)
        async with asyncio.timeout(DEADLINE + SLACK_SECONDS):
            assert not await _taken(broker, _work())
        with pytest.raises(BrokerUnavailableError):
            async with asyncio.timeout(DEADLINE + SLACK_SECONDS):
                await broker.prepare()
        async with asyncio.timeout(2 * DEADLINE + SLACK_SECONDS):
            await broker.close()


async def test_a_broker_that_thaws_is_used_as_before(kafka: OwnKafka, broker: KafkaBroker) -> None:
    with kafka.frozen():
        await _down(broker)
        await _down(broker)
    began = time.monotonic()
    await _pass_through(broker)
    assert time.monotonic() - began < RECOVERY_SECONDS + SLACK_SECONDS


async def test_a_broker_that_lost_its_disks_gets_its_topics_anew_and_is_read_from_their_beginning(
    kafka: OwnKafka, broker: KafkaBroker
) -> None:
    for _ in range(5):
        await _pass_through(broker)
    identity = await _prepared(broker)
    await asyncio.to_thread(kafka.wipe)
    await asyncio.to_thread(kafka.start)
    assert await _prepared(broker) != identity
    assert {delivery.work.task_id for delivery in await _pass_through(broker)}
    async with _broker_on(kafka, broker.topic(Topic.FETCH_REVIEWS).removesuffix(Topic.FETCH_REVIEWS)) as another:
        await another.check()
        assert await _prepared(another) == await _prepared(broker)


async def test_a_topic_made_anew_is_read_although_its_group_was_further(kafka: OwnKafka, broker: KafkaBroker) -> None:
    for _ in range(5):
        await _pass_through(broker)
    identity = await _prepared(broker)
    await delete_topic(kafka.connection.bootstrap_servers, broker.topic(Topic.FETCH_REVIEWS))
    assert await _prepared(broker) != identity
    await _pass_through(broker)
