"""A Kafka broker of its own: one KRaft node on free ports of 127.0.0.1, its jars from Maven."""

import base64
import hashlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local_services.process import (
    NotInstalledError,
    Service,
    ServiceError,
    birth_of,
    data_directory,
    free_ports,
    launch,
    run,
    wait_until_ready,
)

NAME = "kafka"
PROJECT = Path(__file__).resolve().parents[2]
RECIPE = PROJECT / "deploy" / "services" / "kafka"
CACHE = PROJECT / ".cache" / "kafka"

NEEDED_JAVA = 17
"""The least that a Kafka 4 broker runs on."""

INSTALL_JAVA = f"Java {NEEDED_JAVA} or newer was not found. Debian and Ubuntu: apt-get install default-jre-headless"
INSTALL_MAVEN = (
    "Maven (mvn), which fetches Kafka the first time, was not found. Debian and Ubuntu: apt-get install maven"
)

SHORT_LIVED = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""Options for a Java that does not live long enough to profit from its best compiler: half the start, half the CPU."""

API_VERSIONS_REQUEST = struct.pack(">hhih", 18, 0, 1, -1)
"""Kafka's header of ApiVersions v0, correlation id 1, no client id: the one request every broker answers."""


@dataclass(frozen=True)
class Node:
    """A broker's place: it can be started there, killed, and started again on the same ports and data."""

    data: Path
    ports: tuple[int, int]
    """The clients' and the controller's."""
    log: Path

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.ports[0]}"


def start(directory: Path) -> Service:
    """Format a node's storage and return when the broker answers."""
    with data_directory("kafka-", directory) as data:
        node = create(data, log=directory / f"{NAME}.log")
        broker = start_node(node)
    return Service(
        name=NAME,
        version=version(),
        settings={"KAFKA_BOOTSTRAP_SERVERS": node.bootstrap_servers},
        pid=broker.pid,
        birth=birth_of(broker.pid) or "",
        stop_signal=signal.SIGTERM,
        log=str(node.log),
        data=str(node.data),
    )


def create(
    data: Path,
    *,
    log: Path,
    ports: tuple[int, int] | None = None,
    properties: Mapping[str, str] | None = None,
    cluster_id: str | None = None,
) -> Node:
    """Format storage in the directory `data`, under a new cluster id or one that other nodes have as well.

    `properties` go beyond those of the recipe.

    The ports of an earlier node, which is dead, and another directory: the same cluster after it lost its disks.
    """
    node = Node(data, ports or lasting_ports(), log)
    format_storage(write_properties(node, properties or {}), data, cluster_id or new_cluster_id())
    return node


def start_node(node: Node, java_options: Sequence[str] = ()) -> "subprocess.Popen[bytes]":
    """Start the broker, for the first time or again, and return when it answers. Who calls this ends it."""
    command = server_command(node, java_options)
    broker = launch(command, log=node.log, cwd=node.data, env=os.environ)
    wait_until_ready(broker, lambda: answers(node.ports[0]), name="Kafka", log=node.log)
    return broker


def server_command(node: Node, java_options: Sequence[str] = ()) -> list[str]:
    java = [find_java(), "-Xms256m", "-Xmx768m", *java_options]
    return [*java, "-cp", classpath(), "kafka.Kafka", str(properties_of(node))]


def membership(number: int, ports: Sequence[tuple[int, int]]) -> dict[str, str]:
    """What the broker `number` (from 1) of a cluster at these ports has to know of itself and the others."""
    voters = (f"{node}@127.0.0.1:{controller}" for node, (_, controller) in enumerate(ports, start=1))
    return {"node.id": str(number), "controller.quorum.voters": ",".join(voters)}


def lasting_ports() -> tuple[int, int]:
    """For clients, and for the controller."""
    clients, controller = free_ports(2)
    return clients, controller


def classpath() -> str:
    return f"{jars() / '*'}"


def find_java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        raise NotInstalledError(INSTALL_JAVA)
    said = subprocess.run([java, "-version"], check=False, capture_output=True, text=True).stderr
    found = re.search(r'version "(\d+)', said)
    if found is None or int(found[1]) < NEEDED_JAVA:
        raise NotInstalledError(f"{INSTALL_JAVA}. {java} says: {said.splitlines()[0] if said else 'nothing'}")
    return java


def version() -> str:
    """For example "4.1.1"."""
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", (RECIPE / "pom.xml").read_text())
    if found is None:
        raise ServiceError(f"{RECIPE / 'pom.xml'} names no kafka.version.")
    return found[1]


def jars() -> Path:
    """The directory of Kafka's jars, fetched once for each content of pom.xml."""
    kept = kept_jars()
    if not kept.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            fetched = Path(scratch) / "jars"
            fetch(RECIPE / "pom.xml", fetched)
            if not kept.exists():
                fetched.rename(kept)
    return kept


def kept_jars() -> Path:
    """Where they are once they have been fetched."""
    return CACHE / hashlib.sha256((RECIPE / "pom.xml").read_bytes()).hexdigest()[:16]


def look_for_jars() -> None:
    """Raises NotInstalledError where they are not, and nothing could fetch them. Fetches nothing."""
    if not kept_jars().exists():
        find_maven()


def find_maven() -> str:
    maven = shutil.which("mvn")
    if maven is None:
        raise NotInstalledError(INSTALL_MAVEN)
    return maven


def fetch(pom: Path, into: Path) -> None:
    maven = find_maven()
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={into}"]
    strict = ["--batch-mode", "--quiet", "--strict-checksums"]
    run([maven, *strict, "-f", str(pom), *goal], name="Fetching Kafka with Maven", cwd=CACHE, env=os.environ)


def properties_of(node: Node) -> Path:
    return node.data / "server.properties"


def write_properties(node: Node, more: Mapping[str, str]) -> Path:
    broker_port, controller_port = node.ports
    own = {
        "listeners": f"BROKER://127.0.0.1:{broker_port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"BROKER://127.0.0.1:{broker_port}",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "log.dirs": str(node.data / "log"),
    }
    lines = [f"{name}={value}\n" for name, value in (own | dict(more)).items()]
    properties = properties_of(node)
    properties.write_text((RECIPE / "server.properties").read_text() + "\n" + "".join(lines))
    return properties


def new_cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def properties_in(path: Path) -> dict[str, str]:
    """The lines NAME=value of a file; comments stay behind."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return dict(line.split("=", 1) for line in lines if line)


def format_storage(properties: Path, data: Path, cluster_id: str) -> None:
    run(format_command(properties, cluster_id), name="Formatting Kafka's storage", cwd=data, env=os.environ)


def format_command(properties: Path, cluster_id: str) -> list[str]:
    tool = [find_java(), *SHORT_LIVED, "-cp", classpath(), "kafka.tools.StorageTool", "format"]
    return [*tool, f"--cluster-id={cluster_id}", "--config", str(properties)]


def answers(port: int) -> bool:
    """Whether the broker serves requests: its port is open before it does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(struct.pack(">i", len(API_VERSIONS_REQUEST)) + API_VERSIONS_REQUEST)
            return len(connection.recv(8)) == 8
    except OSError:
        return False
