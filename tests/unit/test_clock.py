"""The machine's clock, as the service sees it."""

import asyncio

import pytest

from app.clock import SystemClock, first_done, until_set
from tests.support.clock import ManualClock, settle_loop


class Machine:
    """Its two clocks, set by the test."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000.0
        self.uptime = 50.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.uptime += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr("app.clock.time.time", lambda: machine.wall)
    monkeypatch.setattr("app.clock.time.monotonic", lambda: machine.uptime)
    return machine


def test_time_passes(machine: Machine) -> None:
    clock = SystemClock()
    machine.passes(2.5)
    assert clock.now() == 1_700_000_002.5


def test_a_clock_that_is_set_back_goes_on_from_where_it_was(machine: Machine) -> None:
    clock = SystemClock()
    machine.wall -= 3600.0
    assert clock.now() == 1_700_000_000.0
    machine.passes(10.0)
    assert clock.now() == 1_700_000_010.0


def test_a_clock_that_is_set_forward_is_followed(machine: Machine) -> None:
    clock = SystemClock()
    machine.wall += 3600.0
    assert clock.now() == 1_700_003_600.0


async def test_a_wait_ends_with_the_event_or_with_the_time() -> None:
    clock, event = ManualClock(), asyncio.Event()
    in_time, too_late = (asyncio.create_task(until_set(clock, event, seconds)) for seconds in (5.0, 2.0))
    await clock.advance(3.0)
    assert (in_time.done(), too_late.done()) == (False, True)
    event.set()
    await settle_loop()
    assert in_time.done()
    assert clock.sleepers == 0, "the rest of the time is waited for by nobody"


async def test_a_wait_for_the_first_ends_none_of_them() -> None:
    clock, never = ManualClock(), asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(first_done(clock, 1.0, [never]))
    await clock.advance(1.0)
    assert waiting.done()
    assert not never.done()
