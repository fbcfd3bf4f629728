"""The machine's clock, as the service sees it."""

import pytest

from app.clock import SystemClock


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
