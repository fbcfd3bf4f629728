"""The broker's promises, over every broker; and what only a broker that outlives its processes can promise."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import pytest

from app.broker.base import Broker, Consumer, Delivery
from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.in_process import InProcessBroker
from app.broker.kafka import KafkaBroker
from app.clock import SystemClock
from app.models.job import Stage, Work
from tests.support.clock import settle_loop
from tests.support.kafka import own_topics

SECONDS = 30.0
"""How long a test waits for what must come; met only by what is broken."""

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

_numbers = count(1)


class InProcessBrokers:
    """Each process has its own."""

    def open(self) -> Broker:
        return InProcessBroker()


class KafkaBrokers:
    """Each process has a broker; all of them share the topics."""

    def __init__(self, bootstrap_servers: str, prefix: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self.prefix = prefix
        self.opened: list[KafkaBroker] = []

    def open(self, *, partitions: int = 1, buffer: int = 64, auto_offset_reset: str = "earliest") -> KafkaBroker:
        broker = KafkaBroker(
            KafkaConnection(self.bootstrap_servers),
            f"{self.prefix}group",
            SystemClock(),
            layout=TopicLayout(partitions),
            topic_prefix=self.prefix,
            auto_offset_reset=auto_offset_reset,
            buffer=buffer,
        )
        self.opened.append(broker)
        return broker

    async def close(self) -> None:
        for broker in self.opened:
            await broker.close()


@asynccontextmanager
async def _kafka_brokers(bootstrap_servers: str) -> AsyncIterator[KafkaBrokers]:
    async with own_topics(bootstrap_servers) as prefix:
        brokers = KafkaBrokers(bootstrap_servers, prefix)
        yield brokers
        await brokers.close()


@pytest.fixture(params=["in-process", pytest.param("kafka", marks=pytest.mark.kafka)])
async def brokers(request: pytest.FixtureRequest) -> AsyncIterator[InProcessBrokers | KafkaBrokers]:
    if request.param == "in-process":
        yield InProcessBrokers()
        return
    async with _kafka_brokers(request.getfixturevalue("kafka_bootstrap_servers")) as opened:
        yield opened


@pytest.fixture
async def broker(brokers: InProcessBrokers | KafkaBrokers) -> AsyncIterator[Broker]:
    opened = brokers.open()
    await opened.start()
    await opened.prepare()
    yield opened
    await opened.close()


@pytest.fixture
async def kafka(kafka_bootstrap_servers: str) -> AsyncIterator[KafkaBrokers]:
    async with _kafka_brokers(kafka_bootstrap_servers) as opened:
        yield opened


@pytest.fixture
def outlives_its_processes(brokers: InProcessBrokers | KafkaBrokers, request: pytest.FixtureRequest) -> None:
    """A gap by design: what the in-process broker held is released anew from the store when the process starts."""
    if isinstance(brokers, InProcessBrokers):
        gap = pytest.mark.xfail(strict=True, raises=AssertionError, reason="its messages end with its process")
        request.applymarker(gap)


def _work(stage: Stage = Stage.REVIEWS, job_id: str = "job-1") -> Work:
    number = next(_numbers)
    if stage is Stage.ACCOUNTS:
        return Work(number, 3, stage, "tenant-1", job_id, "accounts", "", "")
    if stage is Stage.LOCATIONS:
        return Work(number, 3, stage, "tenant-1", job_id, "accounts/1", "accounts/1", "Häuser & Söhne")
    return Work(number, 3, stage, "tenant-1", job_id, f"locations/{number}", "accounts/1", "東京 \N{BLACK STAR}")


async def _receive(consumer: Consumer, number: int, limit: int = 100) -> list[Delivery]:
    """That many deliveries, in the order in which they come."""
    received: list[Delivery] = []
    async with asyncio.timeout(SECONDS):
        while len(received) < number:
            received += await consumer.receive(limit)
    return received


async def _filled_with(consumer: Consumer, jobs: list[str]) -> None:
    """Returns when work of these jobs waits in the process: the whole of it may have to travel first."""
    async with asyncio.timeout(SECONDS):
        while not all(consumer.others_wait(job_id) for job_id in jobs):
            await settle_loop()


@pytest.mark.parametrize("stage", list(Stage))
async def test_work_arrives_at_its_stage_as_it_was_published(broker: Broker, stage: Stage) -> None:
    works = [_work(stage) for _ in range(3)]
    works += [_work(stage)._replace(traceparent=TRACEPARENT) for _ in range(2)]
    await broker.publish(works)
    received = await _receive(broker.consumer(stage), 5)
    assert {delivery.work for delivery in received} == set(works)


async def test_stages_do_not_see_each_others_work(broker: Broker) -> None:
    works = {stage: _work(stage) for stage in Stage}
    await broker.publish(list(works.values()))
    for stage, work in works.items():
        assert [delivery.work for delivery in await _receive(broker.consumer(stage), 1)] == [work]


async def test_publishing_nothing_is_no_error(broker: Broker) -> None:
    await broker.publish([])


async def test_a_receive_takes_no_more_than_its_limit(broker: Broker) -> None:
    works = [_work() for _ in range(5)]
    await broker.publish(works)
    consumer = broker.consumer(Stage.REVIEWS)
    received: list[Delivery] = []
    async with asyncio.timeout(SECONDS):
        while len(received) < 5:
            some = await consumer.receive(2)
            assert 1 <= len(some) <= 2
            received += some
    assert {delivery.work for delivery in received} == set(works)


async def test_a_receive_waits_for_work(broker: Broker) -> None:
    consumer = broker.consumer(Stage.REVIEWS)
    waiting = asyncio.create_task(consumer.receive(10))
    await settle_loop()
    assert not waiting.done()
    work = _work()
    await broker.publish([work])
    async with asyncio.timeout(SECONDS):
        assert [delivery.work for delivery in await waiting] == [work]


async def test_a_receive_that_was_cancelled_took_nothing(broker: Broker) -> None:
    consumer = broker.consumer(Stage.REVIEWS)
    waiting = asyncio.create_task(consumer.receive(10))
    await settle_loop()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    work = _work()
    await broker.publish([work])
    assert [delivery.work for delivery in await _receive(consumer, 1)] == [work]


async def test_a_worker_learns_that_other_jobs_wait(broker: Broker) -> None:
    consumer = broker.consumer(Stage.REVIEWS)
    assert not consumer.others_wait("job-1")
    await broker.publish([_work(job_id="job-1"), _work(job_id="job-1"), _work(job_id="job-2")])
    await _receive(consumer, 1, limit=1)
    await _filled_with(consumer, ["job-1", "job-2"])
    await _receive(consumer, 2)
    assert not consumer.others_wait("job-1")
    assert not consumer.others_wait("job-3")


async def test_what_was_acknowledged_does_not_come_again(
    brokers: InProcessBrokers | KafkaBrokers, broker: Broker
) -> None:
    await broker.publish([_work() for _ in range(5)])
    consumer = broker.consumer(Stage.REVIEWS)
    for delivery in reversed(await _receive(consumer, 5)):
        consumer.acknowledge(delivery)
    await broker.close()
    assert await _first_after_a_restart(brokers) == "marker"


@pytest.mark.usefixtures("outlives_its_processes")
async def test_what_was_not_acknowledged_comes_again_after_a_restart(
    brokers: InProcessBrokers | KafkaBrokers, broker: Broker
) -> None:
    await broker.publish([_work(job_id="unfinished"), _work(), _work()])
    consumer = broker.consumer(Stage.REVIEWS)
    for delivery in (await _receive(consumer, 3))[1:]:
        consumer.acknowledge(delivery)
    await broker.close()
    assert await _first_after_a_restart(brokers) == "unfinished"


@pytest.mark.usefixtures("outlives_its_processes")
async def test_work_that_nobody_received_waits_for_the_next_process(
    brokers: InProcessBrokers | KafkaBrokers, broker: Broker
) -> None:
    await broker.publish([_work(job_id="unread")])
    await broker.close()
    assert await _first_after_a_restart(brokers) == "unread"


async def _first_after_a_restart(brokers: InProcessBrokers | KafkaBrokers) -> str:
    """The job of what the next process receives first, when the job `marker` is published behind all else."""
    restarted = brokers.open()
    await restarted.start()
    await restarted.publish([_work(job_id="marker")])
    first = await _receive(restarted.consumer(Stage.REVIEWS), 1)
    await restarted.close()
    return first[0].work.job_id


async def test_closing_and_starting_twice_is_no_error(broker: Broker) -> None:
    await broker.start()
    await broker.publish([_work()])
    await _receive(broker.consumer(Stage.REVIEWS), 1)
    await broker.close()
    await broker.close()


@pytest.mark.kafka
async def test_more_work_than_a_process_wants_waits_in_kafka_and_all_of_it_comes(kafka: KafkaBrokers) -> None:
    broker = kafka.open(partitions=3, buffer=8)
    await broker.start()
    await broker.prepare()
    works = [_work() for _ in range(500)]
    await broker.publish(works)
    received = await _receive(broker.consumer(Stage.REVIEWS), 500, limit=7)
    assert sorted(delivery.work for delivery in received) == works


@pytest.mark.kafka
async def test_a_rebalance_loses_nothing_and_leaves_held_work_alone(kafka: KafkaBrokers) -> None:
    first, second = kafka.open(partitions=4), kafka.open(partitions=4)
    for broker in (first, second):
        await broker.start()
        await broker.prepare()
    before = [_work() for _ in range(40)]
    await first.publish(before)
    held = await _receive(first.consumer(Stage.REVIEWS), 40)
    assert {delivery.work for delivery in held} == set(before)
    joined = asyncio.create_task(second.consumer(Stage.REVIEWS).receive(100))
    async with asyncio.timeout(SECONDS):
        while not joined.done():
            await first.publish([_work()])
    for delivery in held:
        first.consumer(Stage.REVIEWS).acknowledge(delivery)
    again = {delivery.work for delivery in await joined}
    assert again, "the new member works on some partitions"
    await first.close()
    after = [_work() for _ in range(20)]
    await second.publish(after)
    seen: set[Work] = set()
    async with asyncio.timeout(SECONDS):
        while not seen.issuperset(after):
            seen |= {delivery.work for delivery in await second.consumer(Stage.REVIEWS).receive(100)}


@pytest.mark.kafka
async def test_a_rebalance_while_a_process_is_full_leaves_no_partition_unread(kafka: KafkaBrokers) -> None:
    first, second = kafka.open(partitions=4, buffer=4), kafka.open(partitions=4)
    for broker in (first, second):
        await broker.start()
        await broker.prepare()
    works = [_work() for _ in range(400)]
    await first.publish(works)
    seen = {delivery.work for delivery in await _receive(first.consumer(Stage.REVIEWS), 1, limit=1)}
    seen |= {delivery.work for delivery in await _receive(second.consumer(Stage.REVIEWS), 1)}
    await asyncio.gather(*(_take_the_rest(broker.consumer(Stage.REVIEWS), seen, set(works)) for broker in kafka.opened))


async def _take_the_rest(consumer: Consumer, seen: set[Work], wanted: set[Work]) -> None:
    """Until all that is wanted has been seen, by whomever."""
    async with asyncio.timeout(SECONDS):
        while not seen.issuperset(wanted):
            receiving = asyncio.ensure_future(consumer.receive(100))
            await asyncio.wait([receiving], timeout=0.1)
            if receiving.cancel():
                continue
            seen |= {delivery.work for delivery in receiving.result()}


@pytest.mark.kafka
async def test_a_new_group_begins_where_the_setting_says(kafka: KafkaBrokers) -> None:
    broker = kafka.open(auto_offset_reset="latest")
    await broker.start()
    await broker.prepare()
    await broker.publish([_work(job_id="before")])
    receiving = asyncio.create_task(broker.consumer(Stage.REVIEWS).receive(1))
    async with asyncio.timeout(SECONDS):
        while not receiving.done():
            await broker.publish([_work(job_id="after")])
    (first,) = await receiving
    assert first.work.job_id == "after"
