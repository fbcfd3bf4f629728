"""The real Helm installs, upgrades and uninstalls: what it does in which order, and what becomes of keys."""

import base64
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from app.config.values import parse_sealing_key
from tests.contract.chart.combinations import CANARIES, COMBINATIONS
from tests.support.api_server import Cluster, api_server
from tests.support.chart import CHART, NAMESPACE, RELEASE, helm

GENERATED = "rf-review-fetcher-generated"
MIGRATE = "rf-review-fetcher-migrate"
WORKLOADS = ("deployments", "statefulsets")


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


@pytest.fixture
def installer(tmp_path: Path) -> Iterator[Installer]:
    kubeconfig = tmp_path / "kubeconfig"
    with api_server(kubeconfig) as cluster:
        yield Installer(cluster, kubeconfig)


def test_keys_are_made_once_and_outlive_upgrades_and_the_release(installer: Installer) -> None:
    installer.done("install", {})
    made = installer.keys()
    assert len(made["API_KEYS"]) == 48
    assert parse_sealing_key(made["TOKEN_SEALING_KEYS"])[0] == "1"
    installer.done("upgrade", {"settings": {"LOG_LEVEL": "DEBUG"}})
    assert ("change", "secrets", GENERATED) not in installer.cluster.deeds
    assert ("change", "statefulsets", "rf-review-fetcher") in installer.cluster.deeds
    installer.done("uninstall")
    assert list(installer.cluster.objects) == [("secrets", GENERATED)]
    installer.done("install", {})
    assert installer.keys() == made


def test_two_installs_do_not_make_the_same_keys(installer: Installer) -> None:
    """Or the test above could not fail."""
    installer.done("install", {})
    made = installer.keys()
    installer.done("uninstall")
    installer.cluster.objects.clear()
    installer.done("install", {})
    assert not set(installer.keys().values()) & set(made.values())


def test_nobody_changes_keys_that_were_made(installer: Installer) -> None:
    """As a tool would that renders without looking at the cluster, and applies what it gets."""
    installer.done("install", {})
    made = installer.keys()
    secret = installer.cluster.of("secrets")[GENERATED]
    assert secret["immutable"] is True
    installer.done("upgrade", {"secrets": {"API_KEYS": {"value": CANARIES[1]}}})
    assert installer.keys() == made, "they may be needed again"


def test_tables_are_migrated_before_anything_else_is_there(installer: Installer) -> None:
    installer.done("install", COMBINATIONS["replicas"])
    assert [deed for deed in installer.cluster.deeds if deed[2] == MIGRATE] == installer.cluster.deeds[:6]
    assert installer.cluster.deeds[2] == ("create", "jobs", MIGRATE)
    assert MIGRATE not in [name for _, name in installer.cluster.objects]
    installer.done("upgrade", COMBINATIONS["replicas"] | {"image": {"tag": "0.2.0"}})
    deeds = installer.cluster.deeds
    assert deeds.index(("create", "jobs", MIGRATE)) < deeds.index(("change", "deployments", "rf-review-fetcher"))


def test_a_migration_that_fails_leaves_the_pods_as_they_are(installer: Installer) -> None:
    installer.done("install", COMBINATIONS["replicas"])
    installer.cluster.jobs_fail = True
    tried = installer.tried("upgrade", COMBINATIONS["replicas"] | {"image": {"tag": "0.2.0"}})
    assert tried.returncode != 0
    assert "pre-upgrade hooks failed" in tried.stderr
    assert [deed for deed in installer.cluster.deeds if deed[1] in WORKLOADS] == []
    assert ("jobs", MIGRATE) in installer.cluster.objects, "its log tells why"


@pytest.mark.parametrize(
    ("combination", "told"),
    [
        ("default", f"get secret {GENERATED} --output jsonpath='{{.data.API_KEYS}}'"),
        ("single, given secrets", "get secret rf-review-fetcher --output jsonpath='{.data.API_KEYS}'"),
        ("single, for trying out", "gone with the pod"),
        ("replicas, secrets elsewhere", "get secret keys --output jsonpath='{.data.api}'"),
        ("roles", "rollout status deployment/rf-review-fetcher-api"),
    ],
)
def test_helm_tells_how_to_begin_and_no_secret(combination: str, told: str, installer: Installer) -> None:
    printed = installer.done("install", COMBINATIONS[combination])
    assert told in printed
    assert [secret for secret in CANARIES if secret in printed] == []
    for key in installer.keys().values() if GENERATED in installer.cluster.of("secrets") else ():
        assert key not in printed
