"""Prometheus, which scrapes the replicas and knows the rules of deploy/monitoring/rules."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from cluster.local import PROJECT, NotInstalledError
from cluster.proxy import filled

CONFIGURATION = PROJECT / "deploy" / "cluster" / "prometheus.yml"
RULES = PROJECT / "deploy" / "monitoring" / "rules"
INSTALL = "prometheus was not found. Debian and Ubuntu: apt-get install --no-install-recommends prometheus"


def configure(directory: Path, port: int, targets: Sequence[int]) -> list[str]:
    """Write the configuration of a Prometheus for metrics at these ports; returns the command that runs it."""
    rules = directory / "rules"
    rules.mkdir(exist_ok=True)
    for path in RULES.glob("*.yml"):
        shutil.copyfile(path, rules / path.name)
    named = ", ".join(f'"127.0.0.1:{target}"' for target in targets)
    path = directory / "prometheus.yml"
    path.write_text(filled(CONFIGURATION.read_text(), TARGETS=named))
    data = f"--storage.tsdb.path={directory / 'data'}"
    return [find_prometheus(), f"--config.file={path}", data, f"--web.listen-address=127.0.0.1:{port}"]


def find_prometheus() -> str:
    found = shutil.which("prometheus")
    if found is None:
        raise NotInstalledError(INSTALL)
    return found
