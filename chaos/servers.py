"""A Kafka and a PostgreSQL of this run's own, ended and started again on the same port and data."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "scripts"))

from local_services import kafka, postgresql  # noqa: E402 - found through the line above
from local_services.process import Service, ServiceError, birth_of  # noqa: E402

__all__ = ["PROJECT", "Server", "ServiceError", "own_kafka", "own_postgresql"]

GONE_WITHIN = 60.0
LOOK_SECONDS = 0.02


class Server:
    """One server; `start_again` starts the process of its next life, whose log is the file it is given."""

    def __init__(self, service: Service, start_again: Callable[[Service, Path], int]) -> None:
        self.service = service
        self._start_again = start_again
        self._lives = 1

    def signal(self, number: signal.Signals) -> None:
        """Returns when the process is gone."""
        os.kill(self.service.pid, number)
        deadline = time.monotonic() + GONE_WITHIN
        while self.service.alive:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.service.name} did not end within {GONE_WITHIN:.0f} s: {self.service.log}")
            time.sleep(LOOK_SECONDS)

    def start(self) -> None:
        """Returns when it answers again. Each life has a log of its own."""
        self._lives += 1
        log = Path(self.service.log).with_name(f"{self.service.name}-{self._lives}.log")
        pid = self._start_again(self.service, log)
        self.service = replace(self.service, pid=pid, birth=birth_of(pid) or "", log=str(log))


@contextmanager
def own_kafka(directory: Path) -> Iterator[Server]:
    """Ended on leaving, and its data thrown away."""
    with _ended(Server(kafka.start(directory), _kafka_again)) as server:
        yield server


@contextmanager
def own_postgresql(directory: Path) -> Iterator[Server]:
    """Ended on leaving, and its data thrown away."""
    with _ended(Server(postgresql.start(directory), _postgresql_again)) as server:
        yield server


@contextmanager
def _ended(server: Server) -> Iterator[Server]:
    try:
        yield server
    finally:
        server.service.stop()


def _kafka_again(service: Service, log: Path) -> int:
    port = int(service.settings["KAFKA_BOOTSTRAP_SERVERS"].rpartition(":")[2])
    return kafka.start_node(kafka.Node(Path(service.data), (port, port), log)).pid


def _postgresql_again(service: Service, log: Path) -> int:
    url = service.settings["DATABASE_URL"]
    port = int(url.rpartition(":")[2].partition("/")[0])
    return postgresql.serve(postgresql.Cluster(Path(service.data), port, url, log)).pid
