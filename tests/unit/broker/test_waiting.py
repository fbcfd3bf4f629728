"""The queue between a broker and its workers."""

import asyncio
import heapq
from collections import Counter, defaultdict

import pytest

from app.broker.base import BrokerUnavailableError, Delivery
from app.broker.waiting import WaitingWork
from app.models.job import Stage, Work
from tests.support.clock import settle_loop


def _delivery(task_id: int, job_id: str = "job-1", tenant: str = "default", weight: int = 1) -> Delivery:
    return Delivery(Work(task_id, 1, Stage.ACCOUNTS, tenant, job_id, "accounts", "", "", weight))


class Workers:
    """So many places for work, each busy for as long as its tenant's work takes; time that a test moves."""

    def __init__(self, places: int, **seconds: float) -> None:
        self.now = 0.0
        self.waiting = WaitingWork(lambda: self.now)
        self._places = places
        self._seconds = seconds
        self._busy: list[tuple[float, int, Delivery]] = []
        self.used = defaultdict[str, float](float)
        self.begun: list[str] = []

    async def work_until(self, end: float) -> None:
        while True:
            free = self._places - len(self._busy)
            for delivery in await self.waiting.take(free) if free else []:
                tenant = delivery.work.tenant
                self.begun.append(tenant)
                ends = self.now + self._seconds[tenant]
                heapq.heappush(self._busy, (ends, delivery.work.task_id, delivery))
            ends, number, delivery = heapq.heappop(self._busy)
            if ends > end:
                heapq.heappush(self._busy, (ends, number, delivery))
                return
            self.now = ends
            self.used[delivery.work.tenant] += self._seconds[delivery.work.tenant]
            self.waiting.finished(delivery)


@pytest.mark.parametrize("weight", [1, 3])
@pytest.mark.parametrize("places", [1, 16])
async def test_tenants_keep_workers_busy_by_their_weight_whatever_their_tasks_take(weight: int, places: int) -> None:
    workers = Workers(places, quick=0.05, slow=1.0)
    workers.waiting.put(_delivery(number, "job-1", "quick", weight) for number in range(50_000))
    workers.waiting.put(_delivery(-number, "job-2", "slow") for number in range(1, 3_000))
    await workers.work_until(100.0)
    assert workers.used["quick"] / workers.used["slow"] == pytest.approx(weight, rel=0.1)


async def test_who_comes_late_has_the_next_free_places_up_to_its_share() -> None:
    workers = Workers(4, flood=1.0, late=1.0)
    for job in range(1000):
        workers.waiting.put([_delivery(job, f"flood-{job}", "flood")])
    await workers.work_until(10.0)
    workers.waiting.put(_delivery(-number, "small", "late") for number in range(1, 10))
    before = len(workers.begun)
    await workers.work_until(13.0)
    assert workers.begun[before : before + 2] == ["late", "late"]
    assert 5 <= Counter(workers.begun[before : before + 12])["late"] <= 8


async def test_who_comes_while_all_places_are_held_does_not_get_them_all_for_long() -> None:
    """Places may be held for long by work that waits for quota. Who came late was once given all that became free until
    what the others had in hand by then was made up for."""
    workers = Workers(8, flood=4.0, late=0.5)
    workers.waiting.put(_delivery(job, f"flood-{job}", "flood") for job in range(1000))
    await workers.work_until(3.9)
    workers.waiting.put(_delivery(-number, "small", "late", 3) for number in range(1, 1000))
    await workers.work_until(7.0)
    assert Counter(workers.begun[8:])["flood"] >= 2


async def test_the_jobs_of_a_tenant_take_turns() -> None:
    waiting = WaitingWork()
    waiting.put([_delivery(1, "job-1"), _delivery(2, "job-1"), _delivery(3, "job-2")])
    assert [delivery.work.task_id for delivery in await waiting.take(3)] == [1, 3, 2]


async def test_what_is_told_twice_counts_once() -> None:
    waiting = WaitingWork()
    waiting.put([_delivery(1), _delivery(2)])
    first, _ = await waiting.take(2)
    for _ in range(3):
        waiting.finished(first)
    waiting.finished(_delivery(9))
    waiting.put([_delivery(3, tenant="default"), _delivery(4, "job-2", tenant="other")])
    (next_one,) = await waiting.take(1)
    assert next_one.work.tenant == "other", "one is still in hand"


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
