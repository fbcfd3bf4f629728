"""Quota budgets in the store: one change at a time, and a restart does not refill them."""

import asyncio

from app.clock import SystemClock
from app.limits.permits import Api, Permit, Wait
from app.limits.quota import SharedQuota
from app.limits.rules import Limits
from app.store.budgets import StoredBudgets
from app.store.database import Database

SMALL = Limits(bucket_capacity=5, refill_rate=0.001)
WITHOUT_MINUTE = Limits(bucket_capacity=100, refill_rate=0.001)
WITH_MINUTE = Limits(bucket_capacity=100, refill_rate=0.001, per_minute=3)


def _quota(database: Database, holder: str, limits: Limits = SMALL) -> SharedQuota:
    return SharedQuota(StoredBudgets(database), {Api.REVIEWS: limits}, holder, SystemClock())


async def _permits(quota: SharedQuota, wanted: int) -> int:
    answers = [await quota.acquire("project", Api.REVIEWS, max_wait=0.0) for _ in range(wanted)]
    return sum(isinstance(answer, Permit) for answer in answers)


async def test_concurrent_changes_are_all_seen(database: Database) -> None:
    budgets = StoredBudgets(database)

    def add(state: bytes | None, _now: float) -> tuple[bytes, int]:
        number = int(state or b"0") + 1
        return str(number).encode(), number

    seen = await asyncio.gather(*(budgets.change_budget("project", "reviews", add) for _ in range(30)))
    assert sorted(seen) == list(range(1, 31))


async def test_two_holders_share_one_budget(database: Database) -> None:
    first, second = _quota(database, "one"), _quota(database, "two")
    given = await _permits(first, 4) + await _permits(second, 4)
    await first.close()
    await second.close()
    assert 4 <= given <= 5


async def test_four_replicas_that_ask_at_once_get_no_more_than_there_is(database: Database) -> None:
    quotas = [_quota(database, f"replica {number}") for number in range(4)]
    given = await asyncio.gather(*(_permits(quota, 3) for quota in quotas))
    for quota in quotas:
        await quota.close()
    assert 4 <= sum(given) <= 5


async def test_a_restart_does_not_refill_a_budget(database: Database) -> None:
    first = _quota(database, "one")
    assert await _permits(first, 4) >= 4
    await first.close()
    second = _quota(database, "two")
    assert await _permits(second, 4) <= 1
    await second.close()


async def test_a_closed_budget_is_closed_for_a_new_process(database: Database) -> None:
    first = _quota(database, "one")
    permit = await first.acquire("project", Api.REVIEWS, max_wait=0.0)
    assert isinstance(permit, Permit)
    await first.throttled(permit, 30.0)
    second = _quota(database, "two")
    assert isinstance(await second.acquire("project", Api.REVIEWS, max_wait=0.0), Wait)
    await first.close()
    await second.close()


async def _permits_until_it_stops(database: Database, holder: str, limits: Limits, wanted: int) -> int:
    """What a replica is given that is stopped in order afterwards: all of it has settled."""
    quota = _quota(database, holder, limits)
    given = await _permits(quota, wanted)
    await quota.close()
    return given


async def test_a_limit_that_was_off_is_kept_and_counted_by_those_alone_who_have_it(database: Database) -> None:
    """docs/runbooks.md, "Change the quota"."""
    given = [
        await _permits_until_it_stops(database, "old", WITHOUT_MINUTE, 4),
        await _permits_until_it_stops(database, "new", WITH_MINUTE, 4),
        await _permits_until_it_stops(database, "old again", WITHOUT_MINUTE, 4),
        await _permits_until_it_stops(database, "another new", WITH_MINUTE, 4),
    ]
    assert given == [4, 3, 4, 0], "the four calls of the old one took none of the three, and nothing of theirs stops it"
