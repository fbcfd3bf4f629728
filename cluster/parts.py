"""What a cluster consists of: how each part is started, when it is ready, and how it is ended."""

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cluster import proxy, watcher
from cluster.asking import ask
from cluster.local import PROJECT, NotInstalledError, kafka, postgresql
from cluster.plan import Plan

KAFKA_PROPERTIES = PROJECT / "deploy" / "cluster" / "kafka.properties"
KAFKA_JAVA = ("-Xms96m", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Three brokers and everything else on one machine: small heaps, and no CPU for the best compiler."""

POSTGRESQL_SETTINGS = {"max_wal_size": "256MB", "min_wal_size": "80MB", "checkpoint_timeout": "60s"}
"""The log reaches the size that it keeps within minutes, so that what grows beyond it shows."""

GOOGLE_LATENCY_MS = 50


@dataclass(frozen=True)
class Part:
    """A process. `home` is its directory and `address` what a person wants to know of it.

    `configure` writes its files and returns the command; `create`, a line of shell, makes its data the first time.
    `user`: who it runs as; None: as who starts it.
    """

    name: str
    home: Path
    address: str
    configure: Callable[[], list[str]]
    ready: Callable[[], bool]
    create: Callable[[], str] = lambda: "true"
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM

    @property
    def created(self) -> Path:
        return self.home / "created"

    def command(self) -> list[str]:
        """The data is made by the process itself: whoever ends it ends that as well."""
        configured = self.configure()
        if self.created.exists():
            return configured
        made = f"{self.create()} && : >{shlex.quote(str(self.created))}"
        return ["/bin/sh", "-c", f"{made} && exec {shlex.join(configured)}"]


def stages(plan: Plan) -> list[list[Part]]:
    """Those of a stage start together, when those of the stage before are ready."""
    brokers = [broker(plan, number) for number in range(1, len(plan.brokers) + 1)]
    replicas = [replica(plan, number) for number in range(1, len(plan.replicas) + 1)]
    return [[*brokers, database(plan), google(plan)], replicas, [nginx(plan), prometheus(plan)]]


def broker(plan: Plan, number: int) -> Part:
    name = f"kafka-{number}"
    ports = [(clients, controller) for clients, controller in plan.brokers]
    node = kafka.Node(plan.place(name), ports[number - 1], Path(os.devnull))

    def configure() -> list[str]:
        properties = kafka.properties_in(KAFKA_PROPERTIES) | kafka.membership(number, ports)
        kafka.write_properties(node, properties)
        return kafka.server_command(node, KAFKA_JAVA)

    return Part(
        name,
        node.data,
        node.bootstrap_servers,
        configure,
        lambda: kafka.answers(node.ports[0]),
        create=lambda: shlex.join(kafka.format_command(kafka.properties_of(node), plan.cluster_id)),
        environment=os.environ,
        # All brokers end at once and their data with them: in good order each would wait for the others.
        stop_signal=signal.SIGKILL,
    )


def database(plan: Plan) -> Part:
    home = plan.place("postgresql")
    data = home / "data"
    user = postgresql.unprivileged_user()

    def configure() -> list[str]:
        (data / "postmaster.pid").unlink(missing_ok=True)  # of a server that was killed: it says "ready"
        return postgresql.server_command(postgresql.find_binaries(), data, plan.postgresql, POSTGRESQL_SETTINGS)

    def create() -> str:
        secret = postgresql.write_password(home, plan.password, user)
        command = postgresql.creating_command(postgresql.find_binaries(), home, secret)
        return f"{shlex.join(command)} && rm {shlex.quote(str(secret))}"

    return Part(
        "postgresql",
        home,
        f"127.0.0.1:{plan.postgresql}",
        configure,
        lambda: postgresql.is_ready(data),
        create,
        postgresql.clean_environment(),
        user,
        signal.SIGINT,  # PostgreSQL's "fast shutdown"
    )


def google(plan: Plan) -> Part:
    options = ["--port", str(plan.google), "--latency-ms", str(GOOGLE_LATENCY_MS)]
    command = [sys.executable, "-m", "app.cli", "simulate", *options]
    ready = answers(plan.google, "/_sim/faults")
    return Part("google", plan.place("google"), plan.google_url, lambda: command, ready, environment=own_code())


def replica(plan: Plan, number: int) -> Part:
    """Started as any deployment starts it."""
    name = f"replica-{number}"
    port, metrics = plan.replicas[number - 1]
    options = ["--app-dir", str(PROJECT), "--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", "uvicorn", "app.main:app", *options]
    environment = own_code() | settings_of(plan, metrics)
    address = f"http://127.0.0.1:{port}"
    return Part(name, plan.place(name), address, lambda: command, answers(port, "/readyz"), environment=environment)


def settings_of(plan: Plan, metrics: int) -> dict[str, str]:
    """Of a replica whose metrics are at this port."""
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


def nginx(plan: Plan) -> Part:
    home, ports = plan.place("nginx"), [port for port, _ in plan.replicas]
    answering = answers(plan.nginx, "/livez")

    def ready() -> bool:
        return proxy.has_its_port(home) and answering()

    return _daemon("nginx", home, plan.url, lambda: proxy.configure(home, plan.nginx, ports), ready)


def prometheus(plan: Plan) -> Part:
    home, targets = plan.place("prometheus"), [metrics for _, metrics in plan.replicas]
    ready = answers(plan.prometheus, "/-/ready")
    address = plan.prometheus_url
    return _daemon("prometheus", home, address, lambda: watcher.configure(home, plan.prometheus, targets), ready)


def _daemon(name: str, home: Path, address: str, configure: Callable[[], list[str]], ready: Callable[[], bool]) -> Part:
    """A program of the machine's, which needs no rights: when root starts it, it runs as another user."""
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    user = postgresql.unprivileged_user()
    return Part(name, home, address, configure, ready, environment=environment, user=user)


def own_code() -> dict[str, str]:
    kept = {name: value for name in ("PATH", "HOME", "TMPDIR") if (value := os.environ.get(name))}
    return kept | {"PYTHONPATH": str(PROJECT)}


def answers(port: int, path: str) -> Callable[[], bool]:
    return lambda: ask(port, path, seconds=1.0).status == 200


def check_installed() -> None:
    """Raises NotInstalledError with all that is to be installed, before anything has started."""
    lacking = dict(_lacking())
    if len(lacking) > 1:
        all_at_once = f"All at once: apt-get install --no-install-recommends {' '.join(lacking)}"
        raise NotInstalledError("\n".join([*lacking.values(), all_at_once]))
    for told in lacking.values():
        raise NotInstalledError(told)
    kafka.jars()
    if not Path("/proc/self/stat").exists():
        raise OSError("processes are recognised again by /proc, which Linux alone has")


def _lacking() -> Iterator[tuple[str, str]]:
    """Debian's package of each program that is not here, and what is said of it."""
    needed: Mapping[str, Callable[[], object]] = {
        "default-jre-headless": kafka.find_java,
        "maven": kafka.look_for_jars,
        "postgresql": postgresql.find_binaries,
        "nginx": proxy.find_nginx,
        "prometheus": watcher.find_prometheus,
    }
    for package, look in needed.items():
        try:
            look()
        except NotInstalledError as missing:
            yield package, str(missing)
