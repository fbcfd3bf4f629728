"""The real Helm, before a cluster that keeps objects and runs nothing."""

import base64
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.api_server import Cluster
from tests.support.chart import CHART, NAMESPACE, RELEASE, helm

GENERATED = "rf-review-fetcher-generated"


class Installer:
    """Helm, before one cluster."""

    def __init__(self, cluster: Cluster, kubeconfig: Path) -> None:
        self.cluster = cluster
        self._options = ["--namespace", NAMESPACE, "--kubeconfig", str(kubeconfig)]

    def tried(
        self, command: str, values: Mapping[str, Any] | None = None, *more: str
    ) -> subprocess.CompletedProcess[str]:
        self.cluster.deeds.clear()
        chart = [str(CHART), "--disable-openapi-validation"] if values is not None else []
        return helm(command, RELEASE, *chart, *more, *self._options, values=values)

    def done(self, command: str, values: Mapping[str, Any] | None = None, *more: str) -> str:
        """What it printed."""
        tried = self.tried(command, values, *more)
        assert tried.returncode == 0, tried.stderr
        return tried.stdout

    def keys(self) -> dict[str, str]:
        data = self.cluster.of("secrets")[GENERATED]["data"]
        return {name: base64.b64decode(value).decode() for name, value in data.items()}
