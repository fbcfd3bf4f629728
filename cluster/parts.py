"""What a cluster consists of: how each part is started, when it is ready, and how it is ended."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cluster import proxy, watcher
from cluster.asking import ask
from cluster.local import PROJECT, kafka, launch, postgresql
from cluster.plan import Plan

KAFKA_PROPERTIES = PROJECT / "deploy" / "cluster" / "kafka.properties"
KAFKA_JAVA = ("-Xms96m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Three brokers and everything else on one machine: small heaps, and no CPU for the best compiler."""

POSTGRESQL_SETTINGS = {"max_wal_size": "256MB", "min_wal_size": "80MB", "checkpoint_timeout": "60s"}
"""The log reaches the size that it keeps within minutes, so that what grows beyond it shows."""

GOOGLE_LATENCY_MS = 50


@dataclass(frozen=True)
class Places:
    """Of a part's records and logs."""

    directory: Path

    def record(self, part: str) -> Path:
        return self.directory / "processes" / part

    def log(self, part: str) -> Path:
        return self.directory / "logs" / f"{part}.log"


@dataclass(frozen=True)
class Part:
    """`create` makes the part's data the first time. `address` is what a person wants to know of it."""

    name: str
    address: str
    create: Callable[[], None]
    start: Callable[[], "subprocess.Popen[bytes]"]
    ready: Callable[[], bool]
    stop_signal: signal.Signals = signal.SIGTERM


def stages(plan: Plan, places: Places) -> list[list[Part]]:
    """Those of a stage start together, when those of the stage before are ready."""
    brokers = [broker(plan, places, number) for number in range(1, len(plan.brokers) + 1)]
    replicas = [replica(plan, places, number) for number in range(1, len(plan.replicas) + 1)]
    return [[*brokers, database(plan, places), google(plan, places)], replicas, [nginx(plan, places), prometheus(plan, places)]]


def broker(plan: Plan, places: Places, number: int) -> Part:
    name = f"kafka-{number}"
    ports = [(clients, controller) for clients, controller in plan.brokers]
    node = kafka.Node(plan.place(name), ports[number - 1], places.log(name))

    def create() -> None:
        node.data.mkdir()
        properties = kafka.properties_in(KAFKA_PROPERTIES) | kafka.membership(number, ports)
        kafka.create(node.data, log=node.log, ports=node.ports, properties=properties, cluster_id=plan.cluster_id)

    return Part(
        name,
        node.bootstrap_servers,
        create,
        lambda: kafka.launch_node(node, KAFKA_JAVA, places.record(name)),
        lambda: kafka.answers(node.ports[0]),
        # All brokers end at once and their data with them: in good order each would wait for the others.
        signal.SIGKILL,
    )


def database(plan: Plan, places: Places) -> Part:
    name = "postgresql"
    at = postgresql.cluster_at(plan.place(name), places.log(name), plan.postgresql, plan.password)

    def create() -> None:
        at.home.mkdir()
        postgresql.create(at.home, at.log, port=at.port, password=plan.password)

    return Part(
        name,
        f"127.0.0.1:{at.port}",
        create,
        lambda: postgresql.launch_server(at, record=places.record(name), options=POSTGRESQL_SETTINGS),
        lambda: postgresql.is_ready(at.data),
        signal.SIGINT,  # PostgreSQL's "fast shutdown"
    )


def google(plan: Plan, places: Places) -> Part:
    port = str(plan.google)
    command = ["-m", "app.cli", "simulate", "--port", port, "--latency-ms", str(GOOGLE_LATENCY_MS)]
    return _python(plan, places, "google", plan.google_url, command, lambda: _answers(plan.google, "/_sim/faults"))


def replica(plan: Plan, places: Places, number: int) -> Part:
    """Started as any deployment starts it."""
    port, _ = plan.replicas[number - 1]
    command = ["-m", "uvicorn", "app.main:app", "--app-dir", str(PROJECT), "--host", "127.0.0.1", "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    return _python(plan, places, f"replica-{number}", address, command, lambda: _answers(port, "/readyz"))


def settings_of(plan: Plan, part: str) -> dict[str, str]:
    """Of a replica; the simulated Google needs none."""
    if not part.startswith("replica-"):
        return {}
    _, metrics = plan.replicas[int(part.removeprefix("replica-")) - 1]
    return {
        "ENVIRONMENT": "production",
        "DATABASE_URL": plan.database_url,
        "KAFKA_BOOTSTRAP_SERVERS": plan.bootstrap_servers,
        "KAFKA_REPLICATION_FACTOR": str(len(plan.brokers)),
        "GOOGLE_API_BASE_URL": plan.google_url,
        "API_KEYS": plan.api_key,
        "TOKEN_SEALING_KEYS": plan.sealing_key,
        "TRUSTED_PROXIES": "127.0.0.1/32",
        "METRICS": "open",
        "METRICS_PORT": str(metrics),
        **plan.settings,
    }


def nginx(plan: Plan, places: Places) -> Part:
    ports = [port for port, _ in plan.replicas]

    def configured() -> list[str]:
        return proxy.configure(plan.place("nginx"), plan.nginx, ports, postgresql.unprivileged_user())

    return _daemon(plan, places, "nginx", plan.url, configured, lambda: _answers(plan.nginx, "/livez"))


def prometheus(plan: Plan, places: Places) -> Part:
    targets = [metrics for _, metrics in plan.replicas]

    def configured() -> list[str]:
        return watcher.configure(plan.place("prometheus"), plan.prometheus, targets, postgresql.unprivileged_user())

    ready = lambda: _answers(plan.prometheus, "/-/ready")  # noqa: E731
    return _daemon(plan, places, "prometheus", plan.prometheus_url, configured, ready)


def _python(
    plan: Plan, places: Places, name: str, address: str, arguments: list[str], ready: Callable[[], bool]
) -> Part:
    home = plan.place(name)

    def start() -> "subprocess.Popen[bytes]":
        kept = {variable: value for variable in ("PATH", "HOME", "TMPDIR") if (value := os.environ.get(variable))}
        environment = {**kept, "PYTHONPATH": str(PROJECT), **settings_of(plan, name)}
        command = [sys.executable, *arguments]
        return launch(command, log=places.log(name), cwd=home, env=environment, record=places.record(name))

    return Part(name, address, home.mkdir, start, ready)


def _daemon(
    plan: Plan, places: Places, name: str, address: str, configured: Callable[[], list[str]], ready: Callable[[], bool]
) -> Part:
    """A program of the machine's, which needs no rights: when root starts it, it runs as another user."""
    home = plan.place(name)

    def start() -> "subprocess.Popen[bytes]":
        user = postgresql.unprivileged_user()
        environment = {"PATH": os.environ.get("PATH", os.defpath)}
        record = places.record(name)
        return launch(configured(), log=places.log(name), cwd=home, env=environment, user=user, record=record)

    return Part(name, address, home.mkdir, start, ready)


def _answers(port: int, path: str) -> bool:
    return ask(port, path, seconds=1.0).status == 200


def check_installed() -> None:
    """Raises NotInstalledError with what to install, before anything has started."""
    kafka.find_java()
    kafka.jars()
    postgresql.find_binaries()
    proxy.find_nginx()
    watcher.find_prometheus()
    if shutil.which("sh") is None or not Path("/proc/self/stat").exists():
        raise OSError("processes are recognised again by /proc, which Linux alone has")
