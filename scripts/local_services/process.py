"""Processes that outlive the command that starts them: start, wait until ready, recognise again, end."""

import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from local_services import records

READY_WITHIN = 90.0
"""Seconds. Kafka needs about 4 on an idle machine of two cores; a busy one takes several times that."""

STOPPED_WITHIN = 30.0
"""Seconds between the polite signal and SIGKILL."""

POLL_EVERY = 0.05
"""Seconds."""

LASTING_PORTS = range(20_000, 30_000)
"""Below those that Linux (from 32768) and the others (from 49152) give to outgoing connections."""


class ServiceError(Exception):
    """The service is installed and did not start. The message ends with the tail of its log."""


class NotInstalledError(ServiceError):
    """The machine lacks a program. The message says what to install."""


@dataclass(frozen=True)
class Service:
    """What is needed to use a running service, and to end exactly this one later."""

    name: str
    version: str
    settings: dict[str, str]
    pid: int
    birth: str
    stop_signal: int
    log: str
    data: str

    @property
    def alive(self) -> bool:
        return birth_of(self.pid) == self.birth

    def save(self, directory: Path) -> None:
        record = directory / f"{self.name}.json"
        record.touch(mode=0o600)
        record.write_text(json.dumps(asdict(self), indent=2) + "\n")

    def stop(self) -> None:
        """End the process, by force after `STOPPED_WITHIN`, and throw its data away. Twice is once."""
        for number in (self.stop_signal, signal.SIGKILL):
            if self.alive:
                os.kill(self.pid, number)
                deadline = time.monotonic() + STOPPED_WITHIN
                while self.alive and time.monotonic() < deadline:
                    time.sleep(POLL_EVERY)
        shutil.rmtree(self.data, ignore_errors=True)


def load(directory: Path, name: str) -> Service | None:
    """The service that was started from this directory, alive or not."""
    record = directory / f"{name}.json"
    return Service(**json.loads(record.read_text())) if record.exists() else None


def forget(directory: Path, name: str) -> None:
    (directory / f"{name}.json").unlink(missing_ok=True)


def birth_of(pid: int) -> str | None:
    """When a process started, so that a number given out again is not taken for it. None when it is gone."""
    if Path("/proc/self/stat").exists():
        return records.birth_of(pid)
    listed = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], check=False, capture_output=True)
    return listed.stdout.decode().strip() or None


@contextmanager
def data_directory(prefix: str, place: Path) -> Iterator[Path]:
    """A new directory, which stays when the body succeeds."""
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    try:
        yield directory
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def launch(
    command: Sequence[str],
    *,
    log: Path,
    cwd: Path,
    env: Mapping[str, str],
    user: str | None = None,
    record: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start in a session of its own, so that Ctrl-C in the terminal does not reach it. `log` starts empty.

    With `record` the process itself writes there who it is, before it becomes `command`: see `records`.
    """
    with ExitStack() as files:
        output = files.enter_context(log.open("wb"))
        return subprocess.Popen(
            command if record is None else records.announced(command),
            stdin=subprocess.DEVNULL if record is None else files.enter_context(records.claimed(record)),
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=env,
            start_new_session=True,
            user=user,
            group=group_of(user),
            extra_groups=None if user is None else [],
        )


def group_of(user: str | None) -> int | None:
    return None if user is None else pwd.getpwnam(user).pw_gid


def wait_until_ready(process: subprocess.Popen[bytes], ready: Callable[[], bool], *, name: str, log: Path) -> None:
    """Return when `ready`. A process that ends before or takes too long is an error and is ended."""
    deadline = time.monotonic() + READY_WITHIN
    with ExitStack() as undo:
        undo.callback(process.wait)
        undo.callback(process.kill)
        while not ready():
            if process.poll() is not None:
                raise ServiceError(f"{name} ended at its start, exit code {process.returncode}.\n{tail(log)}")
            if time.monotonic() > deadline:
                raise ServiceError(f"{name} was not ready within {READY_WITHIN:.0f} s.\n{tail(log)}")
            time.sleep(POLL_EVERY)
        undo.pop_all()


def run(command: Sequence[str], *, name: str, cwd: Path, env: Mapping[str, str], user: str | None = None) -> None:
    """A step that must succeed before the service can start."""
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        cwd=cwd,
        env=env,
        user=user,
        group=group_of(user),
        extra_groups=None if user is None else [],
    )
    if done.returncode:
        output = last_lines(done.stdout + done.stderr)
        raise ServiceError(f"{name} failed, exit code {done.returncode}.\n{output}")


def tail(log: Path) -> str:
    return f"The end of {log}:\n{last_lines(log.read_text(errors='replace'))}"


def last_lines(text: str, count: int = 20) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines()[-count:])


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now, and that stay free while what listens on them is down.

    Those that the system gives to connections do not: a client that tries to reach a dead server on one of them may
    even be given it, and talk to itself.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.choice(LASTING_PORTS)  # noqa: S311 - no secret
        if port not in found and is_free(port):
            found.append(port)
    return found


def is_free(port: int) -> bool:
    with socket.socket() as one:
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
