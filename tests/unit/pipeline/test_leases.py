"""Leases are extended for exactly the tasks that are being worked on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from app.pipeline import leases
from app.pipeline.leases import DEADLINE_SECONDS, EXTEND_SECONDS, LEASE_SECONDS, RETRY_SECONDS, LeaseKeeper
from app.store.database import StoreUnavailableError
from app.store.settle import LEASE_LEFT_SECONDS
from tests.support.clock import ManualClock


class Extensions:
    """A store that remembers whose leases it was asked to extend."""

    def __init__(self) -> None:
        self.asked: list[tuple[frozenset[int], str, float]] = []
        self.away = False
        self.hangs = False

    async def write(self, work: Any, *arguments: Any) -> int:
        self.asked.append(cast(Any, arguments))
        if self.away:
            raise StoreUnavailableError("away")
        if self.hangs:
            await asyncio.Event().wait()
        return 1


class Keeping:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = Extensions()
        self.keeper = LeaseKeeper(cast(Any, self.store), self.clock, "holder-1")


@pytest.fixture
async def keeping() -> AsyncIterator[Keeping]:
    keeping = Keeping()
    loop = asyncio.create_task(keeping.keeper.run())
    yield keeping
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_held_tasks_are_extended_together_well_before_their_leases_end(keeping: Keeping) -> None:
    keeping.keeper.add(1)
    keeping.keeper.add(2)
    await keeping.clock.advance(LEASE_SECONDS)
    assert keeping.store.asked == [(frozenset({1, 2}), "holder-1", LEASE_SECONDS)] * 3


async def test_a_task_that_is_done_is_not_extended(keeping: Keeping) -> None:
    keeping.keeper.add(1)
    keeping.keeper.add(2)
    keeping.keeper.remove(1)
    await keeping.clock.advance(EXTEND_SECONDS)
    assert keeping.store.asked == [(frozenset({2}), "holder-1", LEASE_SECONDS)]


async def test_a_task_that_was_lost_and_taken_again_is_extended_when_its_former_holder_ends(keeping: Keeping) -> None:
    keeping.keeper.add(1)
    keeping.keeper.add(1)
    keeping.keeper.remove(1)
    await keeping.clock.advance(EXTEND_SECONDS)
    keeping.keeper.remove(1)
    await keeping.clock.advance(EXTEND_SECONDS)
    assert [asked[0] for asked in keeping.store.asked] == [frozenset({1})]


async def test_a_process_that_holds_nothing_asks_for_nothing(keeping: Keeping) -> None:
    await keeping.clock.advance(60)
    assert keeping.store.asked == []


async def test_a_store_that_is_away_is_asked_again_soon_and_then_at_the_usual_pace(keeping: Keeping) -> None:
    keeping.keeper.add(1)
    keeping.store.away = True
    await keeping.clock.advance(EXTEND_SECONDS + RETRY_SECONDS)
    assert len(keeping.store.asked) == 2
    keeping.store.away = False
    await keeping.clock.advance(RETRY_SECONDS)
    assert len(keeping.store.asked) == 3
    await keeping.clock.advance(EXTEND_SECONDS - 0.01)
    assert len(keeping.store.asked) == 3


def test_a_settle_leaves_the_lease_as_it_is_where_extensions_come_in_time() -> None:
    """Or each page would cost a change of the leases' index."""
    assert LEASE_LEFT_SECONDS <= LEASE_SECONDS - EXTEND_SECONDS


async def test_an_extension_that_hangs_is_cut_off_and_tried_anew(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over another connection: the leases outlive one that hangs."""
    monkeypatch.setattr(leases, "DEADLINE_SECONDS", 0.05)
    assert EXTEND_SECONDS + 2 * DEADLINE_SECONDS + RETRY_SECONDS < LEASE_SECONDS
    keeping.keeper.add(1)
    keeping.store.hangs = True
    await keeping.clock.advance(EXTEND_SECONDS)
    keeping.store.hangs = False
    await asyncio.sleep(0.2)
    await keeping.clock.advance(RETRY_SECONDS)
    assert len(keeping.store.asked) == 2
