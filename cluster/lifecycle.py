"""Up, down, status: a cluster is what its directory says it is."""

import fcntl
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from cluster import plan as plans
from cluster.local import Recorded, ServiceError, launch, recorded, tail
from cluster.parts import Part, check_installed, stages
from cluster.plan import Plan

READY_WITHIN = 120.0
"""Seconds for a stage. Three brokers and a database share the machine's cores while they start."""

ENDED_WITHIN = 30.0
LOOK_EVERY = 0.02

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Places:
    """Of the records and logs of a cluster's parts."""

    directory: Path

    def record(self, part: Part) -> Path:
        return self.directory / "processes" / part.name

    def log(self, part: Part) -> Path:
        return self.directory / "logs" / f"{part.name}.log"

    def process(self, part: Part) -> Recorded | None:
        """The last that was started, alive or not."""
        return recorded(self.record(part))

    def make(self) -> None:
        for folder in ("processes", "logs"):
            (self.directory / folder).mkdir(exist_ok=True)


@dataclass(frozen=True)
class Standing:
    """How a part is now. `pid` None: it does not run."""

    part: Part
    pid: int | None


@contextmanager
def alone(directory: Path, tell: Tell) -> Iterator[None]:
    """Two commands at once would both start what neither sees running. The lock ends with who has it."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"another command is at work in {directory}; this one begins when it has ended")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(directory: Path, settings: Mapping[str, str], tell: Tell) -> Plan:
    """Start what does not run, on the data it had; returns when all is ready.

    When something fails or the command is interrupted, what it has started ends, and a new cluster leaves nothing.
    `settings` are for a new cluster.

    Raises:
        NotInstalledError: the machine lacks a program; nothing was started.
        ServiceError: something did not start, or a cluster with other settings is there.
    """
    check_installed()
    places = Places(directory)
    known = plans.load(directory)
    if known is not None and settings and dict(settings) != known.settings:
        raise ServiceError("a cluster with other settings is here already. End it first: make cluster-down")
    plan = known or plans.new_plan(directory, settings)
    started: list[Part] = []
    try:
        if known is None:
            plans.save(plan, directory)  # first: whatever is made afterwards can be found by it
        Path(plan.home).mkdir(mode=0o711, exist_ok=True)  # other users have their parts in it
        places.make()
        for stage in stages(plan):
            _start(stage, places, started, tell)
        _check_all_run(stages(plan), places)
    except BaseException:
        with _undisturbed():
            _end(started, places, plan)
            if known is None:
                _forget(directory, plan)
        raise
    return plan


def down(directory: Path) -> Plan | None:
    """End what was started from here, whoever did it and however that ended, and throw its data away."""
    plan = plans.load(directory)
    if plan is not None:
        with _undisturbed():
            with ExitStack() as ending:
                for stage in stages(plan):  # the last one first: nobody loses what it stands on while it ends
                    ending.callback(_end, stage, Places(directory), plan)
            _forget(directory, plan)
    return plan


def status(directory: Path) -> list[Standing]:
    plan = plans.load(directory)
    parts = [part for stage in stages(plan) for part in stage] if plan else []
    found = [(part, Places(directory).process(part)) for part in parts]
    return [Standing(part, process.pid if process and process.alive else None) for part, process in found]


def _start(stage: list[Part], places: Places, started: list[Part], tell: Tell) -> None:
    """Returns when all parts of the stage are ready; what had to be started is in `started` from then on."""
    began = time.monotonic()
    waiting = list(stage)
    for part in stage:
        process = places.process(part)
        if process is None or not process.alive:
            started.append(part)
            start(part, places)
    while waiting:
        for part in [part for part in waiting if _is_ready(part, places)]:
            waiting.remove(part)
            if part in started:
                tell(f"{part.name} is ready after {time.monotonic() - began:.1f} s")
        if waiting and time.monotonic() > began + READY_WITHIN:
            _fail(waiting[0], places, f"was not ready within {READY_WITHIN:.0f} s")
        time.sleep(LOOK_EVERY)


def start(part: Part, places: Places) -> None:
    """Begin the process of a part that does not run.

    What its last process left behind ends first: nginx's workers hold the port, and `initdb` goes on writing, when who
    led them was killed. Nobody would find them afterwards, for the record is written anew. What a process that was
    ended in the middle has made is thrown away.
    """
    if (last := places.process(part)) is not None:
        last.end(part.home, 0.0)
    if not part.created.exists():
        shutil.rmtree(part.home, ignore_errors=True)
    part.home.mkdir(mode=0o700, exist_ok=True)
    if part.user is not None:
        shutil.chown(part.home, part.user)
    log, record = places.log(part), places.record(part)
    launch(part.command(), log=log, cwd=part.home, env=part.environment, user=part.user, record=record)


def _check_all_run(all_stages: list[list[Part]], places: Places) -> None:
    """What was ready while others started may have ended since."""
    for part in (part for stage in all_stages for part in stage):
        process = places.process(part)
        if process is None or not process.alive:
            _fail(part, places, "ended while others started")


def _is_ready(part: Part, places: Places) -> bool:
    process = places.process(part)
    if process is None or not process.alive:
        _fail(part, places, "ended at its start")
    return part.ready()


def _fail(part: Part, places: Places, how: str) -> NoReturn:
    raise ServiceError(f"{part.name} {how}.\n{tail(places.log(part))}")


def _end(parts: list[Part], places: Places, plan: Plan) -> None:
    found = [(part, process) for part in parts if (process := places.process(part))]
    for part, process in found:
        process.signal(part.stop_signal)
    deadline = time.monotonic() + ENDED_WITHIN

    def end(process: Recorded) -> None:
        process.end(Path(plan.home), deadline - time.monotonic())

    with ExitStack() as ending:  # all of them, also when one cannot be ended
        for _, process in found:
            ending.callback(end, process)


def _forget(directory: Path, plan: Plan) -> None:
    """The logs stay until the next cluster: they tell what happened. The plan goes last, for it finds the rest."""
    shutil.rmtree(plan.home, ignore_errors=True)
    shutil.rmtree(directory / "processes", ignore_errors=True)
    (directory / plans.FILE).unlink(missing_ok=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C must not leave half of it running."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
