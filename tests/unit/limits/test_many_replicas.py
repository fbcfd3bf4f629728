"""Promise 6 for all replicas together, judged by when calls reached Google: killed, stopped, skewed, reconfigured."""

from collections.abc import AsyncIterator, Sequence
from random import Random

import pytest

from app.limits.rules import Limits
from tests.support.clock import ManualClock
from tests.support.quota import worst_bucket_excess
from tests.unit.limits.ledger import assert_kept, most_in_any_minute
from tests.unit.limits.replicas import WORKERS, Fleet, Replica

BUCKET = Limits(bucket_capacity=30, refill_rate=10.0)
BUCKET_AND_MINUTE = Limits(bucket_capacity=100, refill_rate=10.0, per_minute=300)
DAY = Limits(bucket_capacity=100, refill_rate=10.0, per_day=800)
SECONDS = 150


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    """Begins a minute and a half before midnight, by the database's clock."""
    fleet = Fleet(ManualClock(DAY.end_of_day(1_700_000_000.0) + 37.0 - 90.0))
    yield fleet
    await fleet.disband()


def allowed(limits: Limits, seconds: float) -> float:
    """The most calls in a time that begins with all windows whole, with one midnight in it."""
    most = [limits.bucket_capacity + limits.refill_rate * seconds] if limits.bucket_capacity else []
    most += [limits.per_minute * (seconds // 60 + 1)] if limits.per_minute else []
    most += [limits.per_day * 2] if limits.per_day else []
    return min(most)


@pytest.mark.parametrize("limits", [BUCKET, BUCKET_AND_MINUTE, DAY], ids=["bucket", "bucket and minute", "day"])
async def test_four_replicas_use_what_is_allowed_and_no_more(fleet: Fleet, limits: Limits) -> None:
    for _ in range(4):
        fleet.add(limits)
    await fleet.clock.advance(SECONDS)
    assert_kept(fleet.calls, limits)
    assert len(fleet.calls) >= 0.9 * allowed(limits, SECONDS)


@pytest.mark.parametrize("limits", [BUCKET, BUCKET_AND_MINUTE, DAY], ids=["bucket", "bucket and minute", "day"])
@pytest.mark.parametrize("seed", range(2))
async def test_kills_and_zombies_never_make_it_more(fleet: Fleet, limits: Limits, seed: int) -> None:
    fleet.dice = Random(seed)
    replicas = [fleet.add(limits) for _ in range(4)]
    end, zombies, kills = fleet.clock.now() + SECONDS, 0, 0
    while fleet.clock.now() < end:
        await fleet.clock.advance(fleet.dice.expovariate(0.3))
        index = fleet.dice.randrange(4)
        replicas[index].stop()
        await fleet.clock.advance(fleet.dice.choice([0.3, 1.9, 2.1, 5.0, 70.0 if zombies == 3 else 0.01]))
        if fleet.dice.random() < 0.5:
            replicas[index].wake()
            zombies += 1
        else:
            replicas[index] = fleet.add(limits)
            kills += 1
    assert min(zombies, kills) >= 3
    assert_kept(fleet.calls, limits)
    assert len(fleet.calls) > 0.4 * min(allowed(limits, SECONDS), allowed(limits, 60.0) * 2)


async def test_a_store_call_serves_at_least_five_permits(fleet: Fleet) -> None:
    limits = Limits(bucket_capacity=100, refill_rate=100.0)
    for _ in range(4):
        fleet.add(limits)
    await fleet.clock.advance(60)
    assert len(fleet.calls) > 5500
    assert fleet.store.changes <= len(fleet.calls) / 5


class CutQuota:
    """From `since` on Google allows only `per_minute` calls in any 60 seconds and says so without Retry-After, or with
    it. Refused calls do not count."""

    def __init__(self, since: float, per_minute: int, retry_after: float) -> None:
        self._since = since
        self._per_minute = per_minute
        self._retry_after = retry_after
        self._served: list[float] = []

    def __call__(self, now: float) -> float | None:
        lately = [moment for moment in self._served if moment > now - 60]
        if now >= self._since and len(lately) >= self._per_minute:
            return self._retry_after
        self._served = [*lately, now]
        return None


@pytest.mark.parametrize("retry_after", [0.0, 5.0])
async def test_a_quota_that_google_cuts_is_found_out_with_few_calls(fleet: Fleet, retry_after: float) -> None:
    fleet.google = CutQuota(fleet.clock.now() + 60, 60, retry_after)
    for _ in range(4):
        fleet.add(BUCKET_AND_MINUTE)
    await fleet.clock.advance(360)
    in_flight = 4 * WORKERS
    cut = fleet.calls[0] + 60
    served = len([moment for moment in fleet.calls if moment >= cut]) - len(fleet.refused)
    assert served >= 0.7 * 240  # the first minute is spent by what was allowed before
    assert len(fleet.refused) <= in_flight + 1.25 * served  # each re-opening doubles until it is refused


async def replaced(fleet: Fleet, replicas: Sequence[Replica], limits: Limits) -> None:
    """One after the other, by others with these limits."""
    for replica in replicas:
        await fleet.clock.advance(10)
        await fleet.leave(replica)
        fleet.add(limits)


async def test_lower_limits_hold_once_every_replica_has_them(fleet: Fleet) -> None:
    high = Limits(bucket_capacity=100, refill_rate=10.0, per_minute=300)
    low = Limits(bucket_capacity=20, refill_rate=2.0, per_minute=60)
    replicas = [fleet.add(high) for _ in range(4)]
    await replaced(fleet, replicas, low)
    restarted = fleet.store.now()
    assert_kept(fleet.calls, high)  # what holds meanwhile
    await fleet.clock.advance(240)
    since = [moment for moment in fleet.calls if moment > restarted]
    assert worst_bucket_excess(since, 20, 2.0) <= 1e-3
    assert most_in_any_minute(since) <= 60
    assert_kept(fleet.calls, high)
    assert len(since) >= 0.9 * 60 * 3


async def test_a_limit_that_was_off_holds_once_every_replica_has_it(fleet: Fleet) -> None:
    """Until then only new replicas keep and count it: old ones call beyond it, and that is in no minute's count."""
    without = Limits(bucket_capacity=100, refill_rate=10.0)
    with_minute = Limits(bucket_capacity=100, refill_rate=10.0, per_minute=60)
    replicas = [fleet.add(without) for _ in range(4)]
    await replaced(fleet, replicas, with_minute)
    restarted = fleet.store.now()
    assert most_in_any_minute(fleet.calls) > 2 * with_minute.per_minute
    await fleet.clock.advance(240)
    since = [moment for moment in fleet.calls if moment > restarted]
    assert most_in_any_minute(since) <= with_minute.per_minute
    assert len(since) >= 0.9 * with_minute.per_minute * 3
    assert_kept(fleet.calls, without)


async def test_a_days_limit_that_was_off_holds_from_the_next_midnight(fleet: Fleet) -> None:
    midnight = DAY.end_of_day(fleet.store.now())
    replicas = [fleet.add(BUCKET) for _ in range(4)]
    with_day = Limits(bucket_capacity=30, refill_rate=10.0, per_day=200)
    await replaced(fleet, replicas, with_day)
    assert fleet.store.now() < midnight
    assert len(fleet.calls) > with_day.per_day
    await fleet.clock.advance(SECONDS)
    since = [moment for moment in fleet.calls if moment >= midnight]
    assert 0.9 * with_day.per_day <= len(since) <= with_day.per_day
