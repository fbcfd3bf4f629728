"""The queue before a budget: tenants by weight, each one's own in the order in which they came."""

import asyncio
from collections import Counter

import pytest

from app.limits.permits import Api, Permit
from app.limits.quota import SharedQuota
from app.limits.rules import Limits
from app.limits.waiters import Tenant
from tests.support.clock import ManualClock, settle_loop
from tests.unit.limits.memory_store import MemoryBudgetStore

SLOW = Limits(bucket_capacity=10, refill_rate=10.0)
FLOOD = Tenant("flood", 1)


@pytest.mark.parametrize("weight", [1, 3])
async def test_tenants_that_wait_are_served_by_weight_whoever_came_first(weight: int) -> None:
    clock = ManualClock()
    quota = SharedQuota(MemoryBudgetStore(clock), dict.fromkeys(Api, SLOW), "a", clock)
    served = list[str]()

    async def call(tenant: Tenant) -> None:
        answer = await quota.acquire("p", Api.REVIEWS, max_wait=1_000.0, tenant=tenant)
        assert isinstance(answer, Permit)
        served.append(tenant.name)

    late = Tenant("late", weight)
    calls = [asyncio.create_task(call(tenant)) for tenant in [FLOOD] * 300 + [late] * 300]
    for _ in range(60):
        await settle_loop()
        await clock.advance(0.25)
    counts = Counter(served[:80])
    assert counts["late"] / counts["flood"] == pytest.approx(weight, rel=0.15)
    for task in calls:
        task.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await quota.close()


async def test_a_tenants_own_calls_are_served_in_their_order() -> None:
    clock = ManualClock()
    quota = SharedQuota(MemoryBudgetStore(clock), dict.fromkeys(Api, SLOW), "a", clock)
    served = list[int]()

    async def call(number: int) -> None:
        await quota.acquire("p", Api.REVIEWS, max_wait=1_000.0, tenant=FLOOD)
        served.append(number)

    calls = [asyncio.create_task(call(number)) for number in range(8)]
    for _ in range(20):
        await settle_loop()
        await clock.advance(0.25)
    await asyncio.gather(*calls)
    assert served == list(range(8))
    await quota.close()
