"""Where everything of a cluster is: written down before anything is started, so that everything can be found again."""

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cluster.local import free_ports, kafka, postgresql

BROKERS = 3
REPLICAS = 3

FILE = "cluster.json"


@dataclass(frozen=True)
class Plan:
    """Ports are of 127.0.0.1. `home` is the directory of all data, thrown away at the end."""

    home: str
    cluster_id: str
    brokers: list[list[int]]
    """For each broker the clients' port and the controller's."""
    replicas: list[list[int]]
    """For each replica the port of its API and that of its metrics."""
    google: int
    postgresql: int
    nginx: int
    prometheus: int
    api_key: str = field(repr=False)
    sealing_key: str = field(repr=False)
    password: str = field(repr=False)
    settings: dict[str, str] = field(repr=False)
    """Of the replicas, beyond what every cluster has."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.nginx}"

    @property
    def google_url(self) -> str:
        return f"http://127.0.0.1:{self.google}"

    @property
    def prometheus_url(self) -> str:
        return f"http://127.0.0.1:{self.prometheus}"

    @property
    def database_url(self) -> str:
        return postgresql.url_of(self.postgresql, self.password)

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(f"127.0.0.1:{clients}" for clients, _ in self.brokers)

    def place(self, part: str) -> Path:
        """The data of a part."""
        return Path(self.home) / part


def new_plan(directory: Path, settings: Mapping[str, str]) -> Plan:
    """A plan for a cluster whose records and logs will be in `directory`."""
    ports = iter(free_ports(2 * BROKERS + 2 * REPLICAS + 4))
    place = postgresql.place_for(directory, postgresql.unprivileged_user())
    return Plan(
        home=str(place / f"review-fetcher-cluster-{secrets.token_hex(8)}"),
        cluster_id=kafka.new_cluster_id(),
        brokers=[[next(ports), next(ports)] for _ in range(BROKERS)],
        replicas=[[next(ports), next(ports)] for _ in range(REPLICAS)],
        google=next(ports),
        postgresql=next(ports),
        nginx=next(ports),
        prometheus=next(ports),
        api_key=secrets.token_hex(24),
        sealing_key=f"1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
        password=secrets.token_hex(16),
        settings=dict(settings),
    )


def save(plan: Plan, directory: Path) -> None:
    """Readable for its owner alone: it has the keys."""
    path = directory / FILE
    path.touch(mode=0o600)
    path.write_text(json.dumps(asdict(plan), indent=2) + "\n")


def load(directory: Path) -> Plan | None:
    """None when there is no cluster here."""
    path = directory / FILE
    text = path.read_text() if path.exists() else ""
    return Plan(**json.loads(text)) if text else None
