"""The broker of one process: a queue a stage, in order, each message once."""

import asyncio

from app.broker.base import Delivery
from app.broker.in_process import InProcessBroker
from app.models.job import Stage, Work
from tests.support.clock import settle_loop


def work(task_id: int, job_id: str = "job-1", stage: Stage = Stage.REVIEWS) -> Work:
    return Work(task_id, 1, stage, "default", job_id, f"locations/{task_id}", "accounts/1", "Shop")


def ids(deliveries: list[Delivery]) -> list[int]:
    return [delivery.work.task_id for delivery in deliveries]


async def test_work_arrives_at_its_stage_in_its_order_and_once() -> None:
    broker = InProcessBroker()
    await broker.start()
    await broker.publish([work(1), work(2, stage=Stage.ACCOUNTS), work(3), work(4)])
    reviews = broker.consumer(Stage.REVIEWS)
    assert ids(await reviews.receive(2)) == [1, 3]
    assert ids(await reviews.receive(9)) == [4]
    assert ids(await broker.consumer(Stage.ACCOUNTS).receive(9)) == [2]
    await broker.close()


async def test_an_empty_topic_is_waited_for() -> None:
    broker = InProcessBroker()
    receiving = asyncio.create_task(broker.consumer(Stage.REVIEWS).receive(5))
    await settle_loop()
    assert not receiving.done()
    await broker.publish([work(1)])
    assert ids(await receiving) == [1]


async def test_a_wait_that_is_cancelled_takes_nothing() -> None:
    broker = InProcessBroker()
    consumer = broker.consumer(Stage.REVIEWS)
    receiving = asyncio.create_task(consumer.receive(5))
    await settle_loop()
    receiving.cancel()
    await asyncio.gather(receiving, return_exceptions=True)
    await broker.publish([work(1)])
    assert ids(await consumer.receive(5)) == [1]


async def test_work_of_another_job_that_waits_is_seen_until_it_is_taken() -> None:
    broker = InProcessBroker()
    consumer = broker.consumer(Stage.REVIEWS)
    assert not consumer.others_wait("job-1")
    await broker.publish([work(1), work(2, "job-2")])
    assert consumer.others_wait("job-1")
    assert consumer.others_wait("job-3")
    await consumer.receive(1)
    assert consumer.others_wait("job-1")
    assert not consumer.others_wait("job-2")
    (delivery,) = await consumer.receive(1)
    assert not consumer.others_wait("job-1")
    consumer.acknowledge(delivery)
