"""When keys were last used: written in the background, seldom, and at the latest at the stop."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from app.results.key_uses import AGAIN_SECONDS, GATHER_SECONDS, KeyUses
from app.store.database import Database, StoreUnavailableError
from tests.support.clock import ManualClock


class Noted:
    """A store that keeps what it was told, and may be away."""

    def __init__(self) -> None:
        self.writes: list[dict[str, float]] = []
        self.away = False

    async def write(self, _work: object, ages: dict[str, float]) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise StoreUnavailableError("away")
        self.writes.append({key: round(age, 3) for key, age in ages.items()})


class Running:
    def __init__(self) -> None:
        self.clock, self.store = ManualClock(), Noted()
        self.uses = KeyUses(cast("Database", self.store), self.clock)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    one = Running()
    loop: asyncio.Task[Any] = asyncio.create_task(one.uses.run())
    yield one
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_the_first_use_is_written_within_seconds_together_with_others(running: Running) -> None:
    running.uses.used("one")
    await running.clock.advance(1.0)
    running.uses.used("other")
    assert running.store.writes == []
    await running.clock.advance(GATHER_SECONDS)
    assert running.store.writes == [{"one": 2.0, "other": 1.0}]


async def test_a_key_that_is_used_all_the_time_is_written_once_a_minute(running: Running) -> None:
    for _ in range(600):
        for _ in range(10):
            running.uses.used("busy")
        await running.clock.advance(1.0)
    assert len(running.store.writes) in (9, 10)


async def test_a_use_between_two_writes_is_not_forgotten(running: Running) -> None:
    running.uses.used("one")
    await running.clock.advance(GATHER_SECONDS + 1)
    running.uses.used("one")
    await running.clock.advance(AGAIN_SECONDS / 2)
    assert len(running.store.writes) == 1
    await running.clock.advance(AGAIN_SECONDS)
    (age,) = running.store.writes[-1].values()
    assert (len(running.store.writes), AGAIN_SECONDS - 2 <= age <= AGAIN_SECONDS + 2) == (2, True)


async def test_nothing_is_written_while_no_key_is_used(running: Running) -> None:
    running.uses.used("one")
    await running.clock.advance(10 * AGAIN_SECONDS)
    assert (len(running.store.writes), running.clock.sleepers) == (1, 0)


async def test_a_store_that_was_away_gets_it_later(running: Running) -> None:
    running.store.away = True
    running.uses.used("one")
    await running.clock.advance(10.0)
    running.store.away = False
    await running.clock.advance(GATHER_SECONDS)
    assert len(running.store.writes) == 1


async def test_what_is_left_is_written_at_the_stop() -> None:
    one = Running()
    one.uses.used("one")
    await one.uses.close()
    await one.uses.close()
    assert one.store.writes == [{"one": 0.0}]
