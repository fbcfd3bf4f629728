"""A Kafka and a PostgreSQL of this run's own, ended and started again on the same port and data."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from cluster import proxy
from cluster.asking import ask
from cluster.local import (
    PROJECT,
    READY_WITHIN,
    Service,
    ServiceError,
    birth_of,
    data_directory,
    free_ports,
    kafka,
    launch,
    postgresql,
    tail,
    wait_until_ready,
)
from cluster.parts import KAFKA_JAVA, KAFKA_PROPERTIES

__all__ = [
    "PROJECT",
    "Server",
    "ServiceError",
    "addresses",
    "free_ports",
    "own_brokers",
    "own_kafka",
    "own_postgresql",
    "own_proxy",
]

OK = 200

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


def addresses(brokers: Sequence[Server]) -> str:
    """Where clients find Kafka."""
    return ",".join(broker.service.settings["KAFKA_BOOTSTRAP_SERVERS"] for broker in brokers)


@contextmanager
def own_kafka(directory: Path) -> Iterator[Server]:
    """Ended on leaving, and its data thrown away."""
    with _ended(Server(kafka.start(directory), _kafka_again)) as server:
        yield server


@contextmanager
def own_brokers(directory: Path, count: int) -> Iterator[list[Server]]:
    """Several brokers of one cluster, each with a copy of everything; ended on leaving, and their data thrown away."""
    ports = [kafka.lasting_ports() for _ in range(count)]
    cluster_id = kafka.new_cluster_id()
    with ExitStack() as stack:
        brokers = [stack.enter_context(_begun(directory, number, ports, cluster_id)) for number in range(1, count + 1)]
        for broker, (clients, _) in zip(brokers, ports, strict=True):
            _wait_for(broker.service, clients)
        yield brokers


@contextmanager
def _begun(directory: Path, number: int, ports: Sequence[tuple[int, int]], cluster_id: str) -> Iterator[Server]:
    """One of them, which does not answer until most of them run."""
    name = f"kafka-{number}"
    properties = kafka.properties_in(KAFKA_PROPERTIES) | kafka.membership(number, ports)
    with data_directory(f"{name}-", directory) as data:
        log = directory / f"{name}.log"
        node = kafka.create(data, log=log, ports=ports[number - 1], properties=properties, cluster_id=cluster_id)
        pid = launch(kafka.server_command(node, KAFKA_JAVA), log=log, cwd=data, env=os.environ).pid
    settings = {"KAFKA_BOOTSTRAP_SERVERS": node.bootstrap_servers}
    service = Service(name, kafka.version(), settings, pid, birth_of(pid) or "", signal.SIGKILL, str(log), str(data))
    with _ended(Server(service, _kafka_again)) as server:
        yield server


def _wait_for(service: Service, port: int) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while not kafka.answers(port):
        if not service.alive or time.monotonic() > deadline:
            raise ServiceError(f"{service.name} did not start.\n{tail(Path(service.log))}")
        time.sleep(LOOK_SECONDS)


@contextmanager
def own_proxy(directory: Path, replicas: Sequence[int]) -> Iterator[int]:
    """The port of nginx in front of replicas at these ports; ended on leaving."""
    user = postgresql.unprivileged_user()
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="review-fetcher-nginx-", dir=postgresql.place_for(directory, user)) as home:
        command = proxy.configure(Path(home), port, replicas)
        if user is not None:
            shutil.chown(home, user)
        log = directory / "nginx.log"
        process = launch(command, log=log, cwd=Path(home), env=os.environ, user=user)
        try:
            wait_until_ready(process, lambda: ask(port, "/livez").status == OK, name="nginx", log=log)
            yield port
        finally:
            process.terminate()
            process.wait(GONE_WITHIN)


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
    java = KAFKA_JAVA if service.name != kafka.NAME else ()
    return kafka.start_node(kafka.Node(Path(service.data), (port, port), log), java).pid


def _postgresql_again(service: Service, log: Path) -> int:
    url = service.settings["DATABASE_URL"]
    port = int(url.rpartition(":")[2].partition("/")[0])
    return postgresql.serve(postgresql.Cluster(Path(service.data), port, url, log)).pid
