"""A process is known from its first moment, recognised later, and nothing else is ever ended in its place."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_services.process import launch
from local_services.records import Recorded, birth_of, claimed, recorded

from tests.support.service import eventually

SLEEPING = [sys.executable, "-c", "print('up', flush=True); import signal; signal.pause()"]
WITH_A_CHILD = ["/bin/sh", "-c", f"{sys.executable} -c 'print(1, flush=True); import signal; signal.pause()' & wait"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def started(home: Path) -> Iterator[list["subprocess.Popen[bytes]"]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def start(home: Path, command: list[str], started: list["subprocess.Popen[bytes]"]) -> Recorded:
    log, record = home.parent / "log", home.parent / "record"
    started.append(launch(command, log=log, cwd=home, env={}, record=record))
    found = recorded(record)
    assert found is not None
    eventually(lambda: bool(log.read_text()), 20, "its first words")
    return found


def test_a_process_is_recorded_before_it_becomes_the_program(
    home: Path, started: list["subprocess.Popen[bytes]"]
) -> None:
    found = start(home, SLEEPING, started)
    assert found == Recorded(started[0].pid, birth_of(started[0].pid) or "")
    assert found.alive


def test_a_process_that_cannot_be_recorded_does_not_run(home: Path, started: list["subprocess.Popen[bytes]"]) -> None:
    log = home.parent / "log"
    started.append(launch(SLEEPING, log=log, cwd=home, env={}, record=Path("/dev/full")))
    assert started[0].wait(20) not in (0, None)
    assert "No space left" in log.read_text() or "I/O error" in log.read_text()


def test_a_starter_that_died_before_the_start_leaves_nobody(tmp_path: Path) -> None:
    with claimed(tmp_path / "record"):
        pass
    assert recorded(tmp_path / "record") is None
    assert recorded(tmp_path / "none") is None


def test_it_ends_by_the_signal_or_by_force(home: Path, started: list["subprocess.Popen[bytes]"]) -> None:
    found = start(home, SLEEPING, started)
    found.signal(signal.SIGCONT)
    found.end(home, within=0.0)
    assert started[0].wait() == -signal.SIGKILL
    assert not found.alive
    found.end(home, within=0.0)


def test_children_that_outlive_it_end_as_well(home: Path, started: list["subprocess.Popen[bytes]"]) -> None:
    found = start(home, WITH_A_CHILD, started)
    started[0].kill()
    started[0].wait()
    (child,) = found.family(home)
    assert child != found.pid
    found.end(home, within=0.0)
    assert birth_of(child) is None


def test_a_child_that_went_elsewhere_is_left_alone(home: Path, started: list["subprocess.Popen[bytes]"]) -> None:
    found = start(home, WITH_A_CHILD, started)
    assert len(found.family(home)) == 2
    assert found.family(home / "other") == [found.pid]
    found.end(home, within=0.0)


def test_a_process_that_got_the_number_of_a_dead_one_is_left_alone(
    home: Path, started: list["subprocess.Popen[bytes]"]
) -> None:
    found = start(home, SLEEPING, started)
    stranger = Recorded(found.pid, "another life")
    stranger.signal(signal.SIGKILL)
    stranger.end(home, within=0.0)
    assert found.alive
