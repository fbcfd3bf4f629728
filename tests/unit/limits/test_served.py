"""What tenants got of a budget, told between replicas: work that waits at one of them gets its part of all calls."""

import asyncio
from collections import Counter

import pytest

from app.limits.permits import Api, Permit
from app.limits.quota import SharedQuota
from app.limits.rules import Limits
from app.limits.served import FORGOTTEN_SECONDS, MOST_TENANTS, Served, counted, elsewhere
from app.limits.waiters import Tenant
from tests.support.clock import ManualClock, settle_loop
from tests.unit.limits.memory_store import MemoryBudgetStore

LIMITS = Limits(bucket_capacity=25, refill_rate=25.0)
CALL_SECONDS = 0.05
FLOOD = Tenant("flood", 1)


class Replicas:
    """Two, and workers at each that call for a tenant whenever they may."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        store = MemoryBudgetStore(self.clock)
        self._quotas = [SharedQuota(store, {Api.REVIEWS: LIMITS}, name, self.clock) for name in ("one", "two")]
        self._workers: list[asyncio.Task[None]] = []
        self.calls = Counter[str]()

    def begin(self, replica: int, tenant: Tenant, workers: int) -> None:
        self._workers += [asyncio.create_task(self._work(self._quotas[replica], tenant)) for _ in range(workers)]

    async def _work(self, quota: SharedQuota, tenant: Tenant) -> None:
        while True:
            answer = await quota.acquire("p", Api.REVIEWS, max_wait=1_000.0, tenant=tenant)
            assert isinstance(answer, Permit)
            self.calls[tenant.name] += 1
            await self.clock.sleep(CALL_SECONDS)
            await quota.succeeded(answer)

    async def run(self, seconds: float) -> None:
        for _ in range(int(seconds / 0.05)):
            await settle_loop()
            await self.clock.advance(0.05)

    async def end(self) -> None:
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        for quota in self._quotas:
            await quota.close()


@pytest.mark.parametrize(("weight", "part"), [(1, 1 / 2), (3, 3 / 4)])
async def test_work_that_waits_at_one_replica_only_gets_its_part_of_all_calls(weight: int, part: float) -> None:
    """The larger weight has the second replica for itself: without the others' word it gets 0.75 and 0.875."""
    replicas = Replicas()
    late = Tenant("late", weight)
    replicas.begin(0, FLOOD, 8)
    replicas.begin(0, late, 8)
    replicas.begin(1, late, 8)
    await replicas.run(5)
    replicas.calls.clear()
    await replicas.run(20)
    await replicas.end()
    assert replicas.calls.total() > 400
    assert replicas.calls["late"] / replicas.calls.total() == pytest.approx(part, abs=0.03)


async def test_what_nobody_else_waits_for_is_anybodys() -> None:
    replicas = Replicas()
    replicas.begin(0, FLOOD, 8)
    replicas.begin(1, Tenant("late", 100), 8)
    await replicas.run(20)
    await replicas.end()
    assert replicas.calls.total() > 0.9 * 20 * LIMITS.rate
    assert replicas.calls["flood"] > 0.4 * replicas.calls.total(), "nobody else waits at its replica"


def test_what_others_gave_is_what_the_account_gained_beyond_our_own() -> None:
    seen = counted({}, {"a": 1.0, "b": 2.0}, 10.0)
    told = counted(counted(seen, {"a": 3.0, "c": 0.5}, 11.0), {"a": 1.0, "b": 1.0}, 12.0)
    assert elsewhere(seen, told, {"a": 1.0, "b": 1.0}) == {"a": 3.0, "c": 0.5}


def test_who_no_longer_calls_is_forgotten_and_begins_anew() -> None:
    seen = counted({}, {"a": 100.0, "b": 1.0}, 10.0)
    later = counted(seen, {"b": 1.0}, 11.0 + FORGOTTEN_SECONDS)
    assert later == {"b": Served(1.0, 11.0 + FORGOTTEN_SECONDS)}
    assert not elsewhere(seen, later, {"b": 1.0})
    assert elsewhere(later, counted(later, {"a": 2.0}, 50.0), {}) == {"a": 2.0}


def test_an_account_names_no_more_tenants_than_it_may() -> None:
    account = counted({}, {f"tenant-{number}": 1.0 for number in range(3 * MOST_TENANTS)}, 10.0)
    account = counted(account, {"newest": 1.0}, 11.0)
    assert len(account) == MOST_TENANTS
    assert "newest" in account
