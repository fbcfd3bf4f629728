"""Where the real PostgreSQL and Kafka of a test run are: named by the environment, running, or started for it."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

PROJECT = Path(__file__).resolve().parents[2]
COMMAND = PROJECT / "scripts" / "services.py"

NOT_INSTALLED = 3
"""The exit code of `services.py up` when the machine lacks a program."""

SETTINGS = {"postgresql": "DATABASE_URL", "kafka": "KAFKA_BOOTSTRAP_SERVERS"}


class Services:
    """The services of one test run. What it started itself ends with `end`; all else stays as it was."""

    def __init__(self, named: dict[str, str], *, required: bool) -> None:
        self.named = named
        self._required = required
        self._own: Path | None = None
        self.versions: dict[str, str] = {}
        """Service → for example "PostgreSQL 15.18", of those that a test asked for."""

    @classmethod
    def from_environment(cls) -> "Services":
        """Take the settings out of the environment: a test that wants SQLite must not find PostgreSQL in it."""
        found = {service: os.environ.pop(setting, "") for service, setting in SETTINGS.items()}
        if not found["postgresql"].startswith(("postgresql:", "postgres:")):
            del found["postgresql"]
        return cls.of_worker({service: value for service, value in found.items() if value})

    @classmethod
    def of_worker(cls, named: dict[str, str]) -> "Services":
        """Those that another process took out of the environment."""
        return cls(named, required=os.environ.get("REQUIRE_SERVICES") == "1")

    def locate(self, service: str) -> str:
        """The value of the service's setting.

        A machine that lacks a program skips the test with the reason, unless the services are required.
        """
        if service in self.named:
            return self.named[service]
        return value_of(run("env", service).stdout) or self._start(service)

    def end(self) -> None:
        if self._own is not None:
            run("down", f"--directory={self._own}")
            shutil.rmtree(self._own)
            self._own = None

    def started_version(self, service: str, value: str) -> str | None:
        """The version of a service that was started from this folder and answers at `value`."""
        for option in ([], [f"--directory={self._own}"] if self._own else []):
            if value_of(run("env", service, *option).stdout) == value:
                return run("status", service, *option).stdout.split()[1]
        return None

    def _start(self, service: str) -> str:
        self._own = self._own or Path(tempfile.mkdtemp(prefix="review-fetcher-services-"))
        done = run("up", service, f"--directory={self._own}")
        if done.returncode == NOT_INSTALLED and not self._required:
            pytest.skip(done.stderr.strip())
        if done.returncode:
            pytest.fail(f"{service} did not start:\n{done.stderr}", pytrace=False)
        return value_of(done.stdout)


def value_of(line: str) -> str:
    """What follows NAME= in the one line that `services.py` prints for one service, or nothing."""
    return line.strip().partition("=")[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(COMMAND), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def postgresql_version(url: str) -> str:
    """For example "PostgreSQL 15.18", asked of the server."""
    said = ask(url, "SHOW server_version")
    return f"PostgreSQL {str(said).split(maxsplit=1)[0]}"


@contextmanager
def fresh_database(url: str) -> Iterator[str]:
    """The URL of an empty database on the server of `url`, dropped afterwards whoever is still connected."""
    name = f"test_{uuid4().hex}"
    ask(url, f"CREATE DATABASE {name}")
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        ask(url, f"DROP DATABASE {name} WITH (FORCE)")


def ask(url: str, statement: str) -> object:
    """The first value of the answer, or None.

    In a thread with an event loop of its own, so that an async fixture may ask for one that calls this.
    """

    async def connected() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, connected()).result()
