"""One leads, the others stand by; the rest of the proof, on both stores, is in `contract/test_leadership.py`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from app.leadership import LEASE_SECONDS, SOON_SECONDS, Leadership, SteppedDownError
from app.store.database import Database, StoreUnavailableError
from app.store.leadership import free_in, lead, step_down
from tests.support.clock import ManualClock, settle_loop

TAKEOVER_SECONDS = 4.0
"""What is promised after a leader's end."""


class Leases:
    """The store's part, on the test's clock; `away` for those holders that cannot reach it."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.holder = ""
        self.until = 0.0
        self.away: set[str] = set()

    async def read(self, work: Any, _name: str) -> float:
        assert work is free_in
        return max(0.0, self.until - self.clock.now())

    async def write(self, work: Any, _name: str, holder: str, *seconds: float) -> bool:
        if holder in self.away:
            raise StoreUnavailableError("away")
        if work is step_down:
            self.until = 0.0 if self.holder == holder else self.until
            return True
        assert work is lead
        if self.holder != holder and self.clock.now() < self.until:
            return False
        self.holder, self.until = holder, self.clock.now() + seconds[0]
        return True


class Replica:
    def __init__(self, leases: Leases, holder: str) -> None:
        self.leadership = Leadership(cast(Database, leases), "publisher", holder, leases.clock)
        self.working = False
        self.begun = 0
        self.cut_off = False
        self.fate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self.leadership.run(self.body, lambda: self.cut_off))

    async def body(self) -> None:
        self.working = True
        self.begun += 1
        try:
            await self.fate
        finally:
            self.working = False
            self.fate = asyncio.get_running_loop().create_future()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class Case:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.leases = Leases(self.clock)
        self.replicas = [Replica(self.leases, holder) for holder in ("a", "b", "c")]

    @property
    def leaders(self) -> list[Replica]:
        return [replica for replica in self.replicas if replica.working]


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    case = Case()
    await settle_loop()
    yield case
    await asyncio.gather(*(replica.stop() for replica in case.replicas))


async def test_one_of_three_works_and_goes_on(case: Case) -> None:
    (first,) = case.leaders
    await case.clock.advance(60.0)
    assert case.leaders == [first]
    assert first.begun == 1


async def test_a_leader_that_stops_in_order_is_followed_within_a_second(case: Case) -> None:
    (first,) = case.leaders
    await first.stop()
    await case.clock.advance(1.0)
    assert len(case.leaders) == 1
    assert case.leaders != [first]


async def test_a_dead_leader_is_followed_when_its_lease_ends_and_not_a_look_later(case: Case) -> None:
    (first,) = case.leaders
    case.leases.away.add(case.leases.holder)
    case.leases.until = case.clock.now() + 2.4
    await case.clock.advance(2.4 + 2 * SOON_SECONDS)
    assert case.leases.holder != first.leadership._holder


async def test_a_leader_cut_off_from_the_store_ends_its_work_before_another_begins(case: Case) -> None:
    (first,) = case.leaders
    case.leases.away.add(first.leadership._holder)
    overlap = False
    for _ in range(40):
        await case.clock.advance(TAKEOVER_SECONDS / 40)
        overlap = overlap or len(case.leaders) > 1
    assert not overlap
    assert len(case.leaders) == 1
    assert not first.working


async def test_a_store_that_is_away_for_a_moment_changes_nothing(case: Case) -> None:
    (first,) = case.leaders
    case.leases.away |= {"a", "b", "c"}
    await case.clock.advance(LEASE_SECONDS / 2)
    case.leases.away.clear()
    await case.clock.advance(10.0)
    assert case.leaders == [first]
    assert first.begun == 1


async def test_work_that_was_fenced_off_stands_by_again_and_is_no_death(case: Case) -> None:
    (first,) = case.leaders
    first.fate.set_exception(SteppedDownError("another producer has its name"))
    await case.clock.advance(1.0)
    assert len(case.leaders) == 1
    assert not first.task.done()


async def test_a_leader_that_cannot_do_its_work_lets_another_try(case: Case) -> None:
    (first,) = case.leaders
    first.cut_off = True
    await case.clock.advance(TAKEOVER_SECONDS / 2)
    (second,) = case.leaders
    assert second is not first
    assert not first.task.done(), "it stands by"
    second.cut_off = True
    first.cut_off = False
    await case.clock.advance(TAKEOVER_SECONDS)
    assert case.leaders != [second]


async def test_work_that_dies_is_told_to_the_loop_and_frees_the_place(case: Case) -> None:
    (first,) = case.leaders
    first.fate.set_exception(RuntimeError("a bug"))
    await case.clock.advance(1.0)
    with pytest.raises(RuntimeError, match="a bug"):
        await first.task
    assert len(case.leaders) == 1
    assert case.leaders != [first]
