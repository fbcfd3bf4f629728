"""A cluster of plain sleepers: what runs stays, what died is started again, and a failed start leaves nothing."""

import os
import shlex
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from local_services import records
from local_services.records import Recorded, birth_of

from cluster import lifecycle
from cluster import plan as plans
from cluster.lifecycle import alone, down, status, up
from cluster.local import ServiceError, free_ports, postgresql
from cluster.parts import Part
from cluster.plan import Plan
from tests.support.service import eventually

pytestmark = [
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <function Popen.__del__"),
]
"""What is started outlives the command that starts it."""

SLEEPING = [sys.executable, "-c", "import signal; signal.pause()"]
SERVING = """
import os, signal, socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))):
    os.fork()
    signal.pause()
"""
"""As nginx does it: the child has the port as well, and outlives who made it."""

WRITING = """
import os, sys, time
while True:
    if os.path.isdir(sys.argv[1]):
        open(f"{sys.argv[1]}/{os.getpid()}.made", "w").close()
    time.sleep(0.01)
"""
"""Makes its data without end, as `initdb` does for a while."""

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
    with alone(directory, said):
        yield directory
        down(directory)


def server(plan: Plan, name: str, port: int, command: list[str]) -> Part:
    return Part(name, plan.place(name), name, lambda: command, lambda: answers(port))


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


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


def test_what_a_killed_process_left_behind_ends_before_the_next_begins(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "ENDED_WITHIN", 0.0)
    (port,) = free_ports(1)
    serving = [sys.executable, "-c", SERVING, str(port)]
    monkeypatch.setattr(lifecycle, "stages", lambda plan: [[server(plan, "one", port, serving)]])
    up(place, {}, said)
    (first,) = pids(place)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: pids(place) == [None], 10, "the death")
    assert answers(port)
    up(place, {}, said)
    assert pids(place) not in ([None], [first])
    down(place)
    assert not answers(port)


def test_data_that_is_still_being_made_is_not_thrown_away_beside_who_makes_it(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "ENDED_WITHIN", 0.0)

    def part(plan: Plan) -> Part:
        home = plan.place("one")
        create = shlex.join([sys.executable, "-c", WRITING, str(home)])
        return Part("one", home, "one", lambda: SLEEPING, lambda: any(home.glob("*.made")), create=lambda: create)

    monkeypatch.setattr(lifecycle, "stages", lambda plan: [[part(plan)]])
    plan = up(place, {}, said)
    (first,) = pids(place)
    assert first is not None
    os.kill(first, signal.SIGKILL)
    eventually(lambda: pids(place) == [None], 10, "the death")
    (before,) = plan.place("one").glob("*.made")
    up(place, {}, said)
    (after,) = plan.place("one").glob("*.made")
    assert before != after
    assert birth_of(int(before.stem)) is None


def test_what_ended_while_others_started_is_no_success(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ready(plan: Plan) -> bool:
        first = status(place)[0].pid
        if first is not None:
            os.kill(first, signal.SIGKILL)
        return first is None and (plan.place("two") / "created").exists()

    def ending(plan: Plan) -> list[list[Part]]:
        return [[sleeper(plan, "one")], [replace(sleeper(plan, "two"), ready=lambda: ready(plan))]]

    monkeypatch.setattr(lifecycle, "stages", ending)
    with pytest.raises(ServiceError, match="one ended while others started"):
        up(place, {}, said)
    assert pids(place) == []


def test_a_start_that_was_killed_before_it_had_a_place_for_data_goes_on(place: Path) -> None:
    plan = plans.new_plan(place, {})
    plans.save(plan, place)
    assert up(place, {}, said) == plan
    assert None not in pids(place)


def test_nobody_else_reads_the_data(place: Path) -> None:
    plan = up(place, {}, said)
    assert Path(plan.home).stat().st_mode & 0o066 == 0
    assert [plan.place(name).stat().st_mode & 0o077 for name in ("one", "two")] == [0, 0]


def test_what_cannot_be_ended_keeps_its_record_and_the_rest_ends(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    up(place, {}, said)
    _, second = pids(place)
    killed = records.kill
    with monkeypatch.context() as stubborn:
        stubborn.setattr(lifecycle, "ENDED_WITHIN", 0.0)
        stubborn.setattr(records, "KILLED_WITHIN", 0.5)
        stubborn.setattr(Recorded, "signal", lambda *_: None)
        stubborn.setattr(records, "kill", lambda pid: None if pid == second else killed(pid))
        with pytest.raises(TimeoutError, match=str(second)):
            down(place)
    assert pids(place) == [None, second]


def test_a_command_that_waits_for_another_says_so(place: Path) -> None:
    told: list[str] = []
    waited = threading.Event()

    def tell(text: str) -> None:
        told.append(text)
        waited.set()

    def another() -> None:
        with alone(place.parent / "other", tell):
            told.append("begins")

    with alone(place.parent / "other", said):
        thread = threading.Thread(target=another)
        thread.start()
        assert waited.wait(10)
        assert len(told) == 1
    thread.join(10)
    assert told[1:] == ["begins"]


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
