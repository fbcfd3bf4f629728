"""Processes that write down themselves who they are, so that whoever started one may be killed at any moment.

A record is a file with two lines: the id of the machine's boot, and the process's own line of /proc/PID/stat, which
Linux alone has.
"""

import fcntl
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ANNOUNCE = """
set -e
read -r boot </proc/sys/kernel/random/boot_id
read -r stat </proc/$$/stat
printf '%s\\n%s\\n' "$boot" "$stat" >&0
exec "$@" </dev/null
"""
"""The record is its standard input. `exec` keeps the process's number and the time of its start.

What cannot be written down does not run.
"""

POLL_EVERY = 0.02
"""Seconds."""

KILLED_WITHIN = 30.0
"""Seconds. A process that waits for a disk that does not answer outlives SIGKILL."""

SESSION, STARTED = 3, 19
"""Fields of /proc/PID/stat behind the name, counted from 0: see proc(5)."""


@dataclass(frozen=True)
class Recorded:
    """A process as it was recorded. `birth`: boot and time of its start, for numbers are given out again."""

    pid: int
    birth: str

    @property
    def alive(self) -> bool:
        return birth_of(self.pid) == self.birth

    def family(self, home: Path) -> list[int]:
        """Its number and those of its children that work below `home`: nginx's workers outlive a killed master.

        A session's number is not given out again while one of its members lives.
        """
        if (now := birth_of(self.pid)) is not None and now != self.birth:
            return []
        return [pid for pid in all_pids() if self._is_of_it(pid, home)]

    def _is_of_it(self, pid: int, home: Path) -> bool:
        fields = stat_of(pid)
        if fields is None:
            return False
        return pid == self.pid or (fields[SESSION] == str(self.pid) and works_below(pid, home))

    def signal(self, number: signal.Signals) -> None:
        if self.alive:
            os.kill(self.pid, number)

    def end(self, home: Path, within: float) -> None:
        """Returns when all of them are gone, by SIGKILL after `within` seconds. Twice is once.

        Raises TimeoutError when one of them outlives even that.
        """
        deadline = time.monotonic() + within
        while self.family(home) and time.monotonic() < deadline:
            time.sleep(POLL_EVERY)
        deadline = time.monotonic() + KILLED_WITHIN
        while left := self.family(home):
            for pid in left:
                kill(pid)
            time.sleep(POLL_EVERY)
            if time.monotonic() > deadline and (left := self.family(home)):
                raise TimeoutError(f"processes {left} are still there {KILLED_WITHIN:.0f} s after SIGKILL")


def announced(command: Sequence[str]) -> list[str]:
    """The command, behind the lines that write the record."""
    return ["/bin/sh", "-c", ANNOUNCE, "sh", *command]


@contextmanager
def claimed(record: Path) -> Iterator[IO[bytes]]:
    """The empty record, locked until everybody who has it open has let it go: the new process does when it is written.

    A starter that is killed before it has started the process leaves an empty record, and a lock that nobody holds.
    """
    with record.open("w+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file


def recorded(record: Path) -> Recorded | None:
    """Who was started under this record; None when nobody was. Waits for one that is writing it now."""
    try:
        with record.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            lines = file.read().decode().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 2:
        return None
    boot, stat = lines
    return Recorded(int(stat.split(maxsplit=1)[0]), f"{boot}/{fields_of(stat)[STARTED]}")


def birth_of(pid: int) -> str | None:
    """When a process started, so that a number given out again is not taken for it. None when it is gone."""
    fields = stat_of(pid)
    if fields is None:
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{fields[STARTED]}"


def stat_of(pid: int) -> list[str] | None:
    """The fields of a process that lives; a zombie does not."""
    try:
        fields = fields_of(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields


def fields_of(stat: str) -> list[str]:
    """What follows the name in parentheses, which may hold spaces: state, parent, group, session, …"""
    return stat.rpartition(")")[2].split()


def all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def works_below(pid: int, home: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(home)
    except OSError:
        return False


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
