"""A cluster of plain sleepers: what runs stays, what died is started again, and a failed start leaves nothing."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import lifecycle
from cluster import plan as plans
from cluster.lifecycle import alone, down, status, up
from cluster.local import ServiceError, postgresql
from cluster.parts import Part
from cluster.plan import Plan
from tests.support.service import eventually

pytestmark = [
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <function Popen.__del__"),
]
"""What is started outlives the command that starts it."""

SLEEPING = [sys.executable, "-c", "import signal; signal.pause()"]
FAILING = [sys.executable, "-c", "print('the port is taken'); exit(7)"]


def sleeper(plan: Plan, name: str, command: list[str] = SLEEPING) -> Part:
    home = plan.place(name)
    create = f"echo made >>{home / 'data'}"
    ready = (home / ("created" if command is SLEEPING else "never")).exists
    return Part(name, home, name, lambda: command, ready, create=lambda: create)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    directory = tmp_path / "cluster"
    monkeypatch.setattr(lifecycle, "check_installed", lambda: None)
    monkeypatch.setattr(postgresql, "place_for", lambda directory, _user: directory)
    monkeypatch.setattr(lifecycle, "stages", lambda plan: [[sleeper(plan, "one")], [sleeper(plan, "two")]])
    with alone(directory):
        yield directory
        down(directory)


def pids(place: Path) -> list[int | None]:
    return [standing.pid for standing in status(place)]


def said(_text: str) -> None:
    """Nobody reads it."""


def test_what_died_is_started_again_on_its_data_and_what_runs_is_left_alone(place: Path) -> None:
    plan = up(place, {}, said)
    first, second = pids(place)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: pids(place) == [None, second], 10, "the death")
    assert up(place, {}, said) == plan
    assert pids(place)[1] == second
    assert pids(place)[0] not in (None, first)
    assert (plan.place("one") / "data").read_text() == "made\n"


def test_a_failed_start_says_why_and_leaves_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "stages", lambda plan: [[sleeper(plan, "one")], [sleeper(plan, "two", FAILING)]])
    with pytest.raises(ServiceError, match=r"two ended at its start.\n.*\n +the port is taken"):
        up(place, {}, said)
    assert pids(place) == []
    assert list(place.glob("review-fetcher-cluster-*")) == []


def test_a_start_that_fails_beside_what_runs_leaves_that_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    up(place, {}, said)
    first, second = pids(place)
    assert second is not None
    os.kill(second, signal.SIGKILL)
    monkeypatch.setattr(lifecycle, "stages", lambda plan: [[sleeper(plan, "one")], [sleeper(plan, "two", FAILING)]])
    with pytest.raises(ServiceError):
        up(place, {}, said)
    assert pids(place) == [first, None]


def test_settings_are_not_silently_left_out(place: Path) -> None:
    up(place, {"RATELIMIT_PER_MINUTE": "0"}, said)
    up(place, {}, said)
    with pytest.raises(ServiceError, match="make cluster-down"):
        up(place, {"RATELIMIT_PER_MINUTE": "5"}, said)
    assert None not in pids(place)


def test_keys_are_for_their_owner_alone(place: Path) -> None:
    plan = up(place, {"RATELIMIT_PER_MINUTE": "0"}, said)
    assert (place / plans.FILE).stat().st_mode & 0o077 == 0
    assert plan.api_key not in repr(plan)
    assert plans.load(place) == plan
    down(place)
    assert plans.load(place) is None
    assert down(place) is None
