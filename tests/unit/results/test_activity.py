"""What was done is counted in memory and written now and then: added once, and nothing while nothing is done."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from app.results import activity
from app.results.activity import WRITE_SECONDS, ActivityLog
from app.store.activity import Activity, add_activity
from app.store.database import StoreUnavailableError
from tests.support.clock import ManualClock, settle_loop

MINUTE = 1_700_000_000 // 60
"""In which the clock starts, at its second 20."""


class Store:
    """Adds up what is written. `away` refuses; while `open` is not set, a write hangs."""

    def __init__(self) -> None:
        self.written: list[list[Activity]] = []
        self.away = False
        self.open = asyncio.Event()
        self.open.set()

    async def write(self, work: Any, done: list[Activity]) -> None:
        assert work is add_activity
        await self.open.wait()
        if self.away:
            raise StoreUnavailableError("locked")
        self.written.append(done)

    @property
    def reviews(self) -> Counter[tuple[str, int]]:
        """(tenant, minute after the first) → reviews."""
        found = Counter[tuple[str, int]]()
        for done in self.written:
            found.update({(row.tenant, row.minute - MINUTE): row.reviews for row in done})
        return found


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def log(store: Store, clock: ManualClock) -> AsyncIterator[ActivityLog]:
    """Running."""
    counting = ActivityLog(cast(Any, store), clock)
    running = asyncio.create_task(counting.run())
    await settle_loop()
    yield counting
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_is_done_within_seconds_is_one_write(log: ActivityLog, store: Store, clock: ManualClock) -> None:
    log.add("default", calls=1)
    log.add("default", calls=1, throttled=1)
    log.add("default", reviews=50)
    log.add("other", reviews=7)
    await clock.advance(WRITE_SECONDS)
    assert store.written == [
        [
            Activity("default", MINUTE, reviews=50, calls=2, throttled=1),
            Activity("other", MINUTE, reviews=7),
        ]
    ]


async def test_an_idle_process_writes_nothing_and_sleeps(log: ActivityLog, store: Store, clock: ManualClock) -> None:
    await clock.advance(3600.0)
    assert (store.written, clock.sleepers) == ([], 0)
    log.add("default", reviews=1)
    await clock.advance(3600.0)
    assert (len(store.written), clock.sleepers) == (1, 0)


async def test_each_minute_has_its_own_numbers(log: ActivityLog, store: Store, clock: ManualClock) -> None:
    for reviews in (1, 2, 4):
        log.add("default", reviews=reviews)
        await clock.advance(30.0)
    assert store.reviews == {("default", 0): 3, ("default", 1): 4}


async def test_what_the_store_did_not_take_is_added_the_next_time(
    log: ActivityLog, store: Store, clock: ManualClock
) -> None:
    store.away = True
    log.add("default", reviews=5)
    await clock.advance(WRITE_SECONDS)
    log.add("default", reviews=2)
    await clock.advance(90.0)
    store.away = False
    log.add("default", reviews=1)
    await clock.advance(WRITE_SECONDS)
    assert len(store.written) == 1
    assert store.reviews == {("default", 0): 7, ("default", 1): 1}


async def test_while_the_store_is_away_for_long_the_oldest_minutes_are_forgotten(
    log: ActivityLog, store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "MOST_KEPT", 3)
    store.away = True
    for _ in range(5):
        log.add("default", reviews=1)
        await clock.advance(60.0)
    store.away = False
    await clock.advance(60.0)
    assert store.reviews == {("default", 2): 1, ("default", 3): 1, ("default", 4): 1}


async def test_a_stop_writes_what_is_left_and_nothing_twice(store: Store, clock: ManualClock) -> None:
    """It comes while the store takes its time over the last write."""
    log = ActivityLog(cast(Any, store), clock)
    running = asyncio.create_task(log.run())
    log.add("default", reviews=5)
    store.open.clear()
    await clock.advance(WRITE_SECONDS)
    log.add("default", reviews=2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    closing = asyncio.create_task(log.close())
    await settle_loop()
    store.open.set()
    await closing
    assert [[row.reviews for row in done] for done in store.written] == [[5], [2]]
    await log.close()
    assert len(store.written) == 2


async def test_a_frozen_store_does_not_hold_up_a_stop(
    store: Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activity, "STOP_SECONDS", 0.01)
    log = ActivityLog(cast(Any, store), clock)
    log.add("default", reviews=5)
    store.open.clear()
    await log.close()
    assert store.written == []
    store.open.set()
    await settle_loop()
