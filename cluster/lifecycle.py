"""Up, down, status: a cluster is what its directory says it is."""

import fcntl
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster import plan as plans
from cluster.local import Recorded, ServiceError, recorded, tail
from cluster.parts import Part, Places, check_installed, stages
from cluster.plan import Plan

READY_WITHIN = 120.0
"""Seconds for a stage. Three brokers and a database share the machine's cores while they start."""

ENDED_WITHIN = 30.0
LOOK_EVERY = 0.02

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Standing:
    """How a part is now. `pid` None: it does not run."""

    part: Part
    pid: int | None


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Two commands at once would both start what neither sees running. The lock ends with who has it."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(directory: Path, settings: Mapping[str, str], tell: Tell) -> Plan:
    """Start what does not run, on the data it had; returns when all is ready.

    When something fails or the command is interrupted, what it has started ends, and a new cluster leaves nothing.

    Raises:
        NotInstalledError: the machine lacks a program; nothing was started.
        ServiceError: something did not start.
    """
    check_installed()
    known = plans.load(directory)
    plan = known or _begun(directory, settings)
    places = Places(directory)
    started: list[Part] = []
    try:
        for stage in stages(plan, places):
            _start(stage, places, started, tell)
    except BaseException:
        with _undisturbed():
            _end(started, places, Path(plan.home))
            if known is None:
                _forget(directory, plan)
        raise
    return plan


def _begun(directory: Path, settings: Mapping[str, str]) -> Plan:
    """The plan first: whatever is made afterwards can be found by it."""
    plan = plans.new_plan(directory, settings)
    plans.save(plan, directory)
    places = Places(directory)
    for folder in ("processes", "logs"):
        (directory / folder).mkdir(exist_ok=True)
    Path(plan.home).mkdir()  # others may pass through to what is theirs
    return plan if places else plan


def _start(stage: list[Part], places: Places, started: list[Part], tell: Tell) -> None:
    began = time.monotonic()
    waiting: dict[str, tuple[Part, subprocess.Popen[bytes]]] = {}
    for part in stage:
        if _alive(places, part) is None:
            started.append(part)
            waiting[part.name] = part, _launched(part, places)
    deadline = began + READY_WITHIN
    while waiting:
        for part, process in list(waiting.values()):
            if process.poll() is not None:
                raise ServiceError(f"{part.name} ended at its start, exit code {process.returncode}.\n{_log(places, part)}")
            if part.ready():
                del waiting[part.name]
                tell(f"{part.name} is ready after {time.monotonic() - began:.1f} s")
        if waiting and time.monotonic() > deadline:
            name = next(iter(waiting))
            raise ServiceError(f"{name} was not ready within {READY_WITHIN:.0f} s.\n{_log(places, waiting[name][0])}")
        time.sleep(LOOK_EVERY)


def _launched(part: Part, places: Places) -> "subprocess.Popen[bytes]":
    """A part without data makes them; one that was killed in the middle of that begins anew."""
    complete = places.directory / "processes" / f"{part.name}.created"
    if not complete.exists():
        part.create()
        complete.touch()
    return part.start()


def _log(places: Places, part: Part) -> str:
    log = places.log(part.name)
    return tail(log) if log.exists() else "It left no log."


def down(directory: Path) -> Plan | None:
    """End what was started from here, whoever did it and however that ended, and throw its data away."""
    plan = plans.load(directory)
    if plan is None:
        return None
    with _undisturbed():
        places = Places(directory)
        _end([part for stage in stages(plan, places) for part in stage], places, Path(plan.home))
        _forget(directory, plan)
    return plan


def status(directory: Path) -> list[Standing]:
    plan = plans.load(directory)
    if plan is None:
        return []
    places = Places(directory)
    parts = [part for stage in stages(plan, places) for part in stage]
    return [Standing(part, found.pid if (found := _alive(places, part)) else None) for part in parts]


def _alive(places: Places, part: Part) -> Recorded | None:
    found = recorded(places.record(part.name))
    return found if found is not None and found.alive else None


def _end(parts: list[Part], places: Places, home: Path) -> None:
    """In reverse: nobody loses what it stands on while it ends. What has the same signal and kind ends together."""
    for part in reversed(parts):
        found = recorded(places.record(part.name))
        if found is not None:
            found.end(home, part.stop_signal, ENDED_WITHIN)


def _forget(directory: Path, plan: Plan) -> None:
    """The logs stay until the next cluster: they tell what happened. The plan goes last, for it finds the rest."""
    shutil.rmtree(plan.home, ignore_errors=True)
    shutil.rmtree(directory / "processes", ignore_errors=True)
    (directory / plans.FILE).unlink(missing_ok=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C must not leave half of it running."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
