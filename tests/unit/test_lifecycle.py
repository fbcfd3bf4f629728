"""Loops that die are started again, and told of when they keep dying."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from app.lifecycle import HEALTHY_AFTER_SECONDS, Loop
from tests.support.clock import ManualClock, settle_loop


class Body:
    """Runs until cancelled, or dies at once while `broken`."""

    def __init__(self) -> None:
        self.begins = 0
        self.ends = 0
        self.broken = False
        self.die = asyncio.Event()

    async def __call__(self) -> None:
        self.begins += 1
        try:
            if not self.broken:
                await self.die.wait()
            raise RuntimeError("a bug")
        finally:
            self.ends += 1


class Case:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.body = Body()
        self.deaths: list[str] = []
        self.loop = Loop("retry_loop", self.body, self.clock, restarted=self.deaths.append)


@pytest.fixture
async def case() -> AsyncIterator[Case]:
    case = Case()
    yield case
    await case.loop.stop()


async def test_a_loop_that_dies_is_started_again_a_little_later_each_time(case: Case) -> None:
    case.body.broken = True
    case.loop.start()
    await settle_loop()
    begins = [case.body.begins]
    for seconds in (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0):
        await case.clock.advance(seconds - 0.01)
        begins.append(case.body.begins)
        await case.clock.advance(0.01)
    assert begins == [1, 1, 2, 3, 4, 5, 6, 7, 8]
    assert case.body.begins == 9
    assert case.deaths == ["retry_loop"] * 9


async def test_a_loop_is_started_again_however_often_it_died(case: Case) -> None:
    """2 ** 1024 is no float any more."""
    case.body.broken = True
    with capture_logs():  # a thousand tracebacks
        case.loop.start()
        for _ in range(1_100):
            await case.clock.advance(10.0)
    assert case.body.begins > 1_100
    assert not case.loop.healthy


async def test_three_deaths_in_a_row_are_told(case: Case) -> None:
    case.body.broken = True
    case.loop.start()
    await settle_loop()
    health = [case.loop.healthy]
    for _ in range(2):
        await case.clock.advance(0.4)
        health.append(case.loop.healthy)
    assert health == [True, True, False]


async def test_a_loop_that_goes_on_for_a_minute_is_well_again(case: Case) -> None:
    case.body.broken = True
    case.loop.start()
    await case.clock.advance(0.7)
    case.body.broken = False
    health = [case.loop.healthy]
    for seconds in (1.0, HEALTHY_AFTER_SECONDS):
        await case.clock.advance(seconds)
        health.append(case.loop.healthy)
    case.body.die.set()
    await settle_loop()
    health.append(case.loop.healthy)
    assert health == [False, False, True, True]
    assert len(case.deaths) == 4


async def test_start_and_stop_may_be_called_twice(case: Case) -> None:
    case.loop.start()
    case.loop.start()
    await settle_loop()
    assert case.body.begins == 1
    await case.loop.stop()
    assert case.body.ends == 1
    await case.loop.stop()
    await case.loop.finished()


async def test_a_body_that_returns_is_not_started_again() -> None:
    begins = []

    async def body() -> None:
        begins.append(1)

    clock = ManualClock()
    loop = Loop("worker", body, clock)
    loop.start()
    await loop.finished()
    await clock.advance(100)
    assert begins == [1]
    assert loop.healthy


async def test_a_stop_also_ends_a_loop_that_waits_to_be_started_again(case: Case) -> None:
    case.body.broken = True
    case.loop.start()
    await settle_loop()
    await case.loop.stop()
    await case.clock.advance(100)
    assert case.body.begins == 1
