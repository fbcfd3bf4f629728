#!/usr/bin/env python3
"""Start, show and end a real PostgreSQL and a real Kafka on loopback, for tests and for trying things out.

Standard output carries only settings, as NAME=value lines, so that a shell or an .env file can take them.
Exit codes: 0 done, 1 a service did not start, 3 a service is not installed.
"""

import argparse
import fcntl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from local_services import kafka, postgresql
from local_services.process import NotInstalledError, Service, ServiceError, forget, load

PROJECT = Path(__file__).resolve().parents[1]
STARTERS: dict[str, Callable[[Path], Service]] = {postgresql.NAME: postgresql.start, kafka.NAME: kafka.start}


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    directory: Path = options.directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    commands = {"up": up, "down": down, "status": status, "env": env}
    with alone(directory):
        return commands[options.command](directory, options.names or list(STARTERS))


def parser() -> argparse.ArgumentParser:
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    about.add_argument("command", choices=["up", "down", "status", "env"])
    about.add_argument("names", nargs="*", type=known, metavar="service", help=f"{', '.join(STARTERS)}; all if none")
    about.add_argument(
        "--directory",
        type=Path,
        default=PROJECT / ".services",
        help="records, logs and data (default: %(default)s)",
    )
    return about


def known(name: str) -> str:
    if name not in STARTERS:
        raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(STARTERS)}")
    return name


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Two commands at once would both start a service that neither sees running."""
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(directory: Path, names: list[str]) -> int:
    """Start what does not run yet. What runs already stays as it is."""
    failures = [failure for name in names if (failure := start_one(directory, name)) is not None]
    for failure in failures:
        say(str(failure))
    env(directory, names)
    if any(not isinstance(failure, NotInstalledError) for failure in failures):
        return 1
    return 3 if failures else 0


def start_one(directory: Path, name: str) -> ServiceError | None:
    known = load(directory, name)
    if known is not None and known.alive:
        say(f"{name} {known.version} is running (pid {known.pid})")
        return None
    if known is not None:
        known.stop()
    began = time.monotonic()
    try:
        service = STARTERS[name](directory)
    except ServiceError as error:
        return error
    service.save(directory)
    seconds = time.monotonic() - began
    say(f"{name} {service.version} started in {seconds:.1f} s (pid {service.pid}, log {service.log})")
    return None


def down(directory: Path, names: list[str]) -> int:
    """End what `up` started from this directory and throw its data away."""
    for name in names:
        service = load(directory, name)
        if service is not None:
            service.stop()
            forget(directory, name)
            say(f"{name} stopped")
    return 0


def status(directory: Path, names: list[str]) -> int:
    for name in names:
        service = running(directory, name)
        if service is None:
            print(f"{name} stopped")
        else:
            print(f"{name} {service.version} running, pid {service.pid}, log {service.log}")
    return 0


def env(directory: Path, names: list[str]) -> int:
    """The settings of what runs now."""
    for name in names:
        service = running(directory, name)
        for setting, value in (service.settings if service else {}).items():
            print(f"{setting}={value}")
    return 0


def running(directory: Path, name: str) -> Service | None:
    service = load(directory, name)
    return service if service is not None and service.alive else None


def say(message: str) -> None:
    print(message, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
