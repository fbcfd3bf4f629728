"""The queue between a broker and its workers."""

import asyncio

import pytest

from app.broker.base import BrokerUnavailableError, Delivery
from app.broker.waiting import WaitingWork
from app.models.job import Stage, Work
from tests.support.clock import settle_loop


def _delivery(task_id: int, job_id: str = "job-1") -> Delivery:
    return Delivery(Work(task_id, 1, Stage.ACCOUNTS, "default", job_id, "accounts", "", ""))


async def test_work_that_is_taken_out_is_nobodys_work() -> None:
    waiting = WaitingWork()
    waiting.put([_delivery(1, "job-1"), _delivery(2, "job-2")])
    assert waiting.remove(lambda delivery: delivery.work.job_id == "job-2") == 1
    assert not waiting.others("job-1")
    assert [delivery.work.task_id for delivery in await waiting.take(10)] == [1]


async def test_a_cancelled_wait_takes_nothing() -> None:
    waiting = WaitingWork()
    first = asyncio.create_task(waiting.take(1))
    await settle_loop()
    waiting.put([_delivery(1)])
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert [delivery.work.task_id for delivery in await waiting.take(1)] == [1]


async def test_whoever_waits_learns_once_that_reading_ended() -> None:
    waiting = WaitingWork()
    waiting.fail(BrokerUnavailableError("away"))
    with pytest.raises(BrokerUnavailableError, match="away"):
        await waiting.take(1)
    again = asyncio.create_task(waiting.take(1))
    await settle_loop()
    assert not again.done()
    waiting.put([_delivery(2)])
    assert len(await again) == 1
