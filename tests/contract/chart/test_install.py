"""The real Helm installs, upgrades and uninstalls: what it does in which order, and what becomes of keys."""

import base64
import re
import subprocess
from typing import Any

import pytest

from app.config.values import parse_sealing_key
from tests.contract.chart.combinations import CANARIES, COMBINATIONS, EXISTING
from tests.support.api_server import merged
from tests.support.installer import GENERATED, Installer

CLAIM = ("persistentvolumeclaims", "rf-review-fetcher-data")
MIGRATE = "rf-review-fetcher-migrate"
WORKLOADS = ("deployments", "statefulsets")


def test_keys_are_made_once_and_outlive_upgrades_and_the_release(installer: Installer) -> None:
    installer.done("install", {})
    made = installer.keys()
    assert len(made["API_KEYS"]) == 48
    assert parse_sealing_key(made["TOKEN_SEALING_KEYS"])[0] == "1"
    installer.done("upgrade", {"settings": {"LOG_LEVEL": "DEBUG"}})
    assert ("change", "secrets", GENERATED) not in installer.cluster.deeds
    assert ("change", "statefulsets", "rf-review-fetcher") in installer.cluster.deeds
    installer.done("uninstall")
    assert set(installer.cluster.objects) == {("secrets", GENERATED), CLAIM}
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
    if "elsewhere" in combination:
        for name, key in EXISTING:
            there = {"metadata": {"name": name}, "data": {key: ""}}
            installer.cluster.objects["secrets", name] = merged(installer.cluster.of("secrets").get(name, {}), there)
    printed = installer.done("install", COMBINATIONS[combination])
    assert told in printed
    assert [secret for secret in CANARIES if secret in printed] == []
    for key in installer.keys().values() if GENERATED in installer.cluster.of("secrets") else ():
        assert key not in printed


@pytest.mark.parametrize(
    ("repository", "warned"),
    [
        ("review-fetcher", True),
        ("somebody/review-fetcher", True),
        ("registry.example.com/review-fetcher", False),
        ("localhost:5000/a/review-fetcher", False),
    ],
)
def test_an_image_of_no_registry_is_told_of(repository: str, warned: bool, installer: Installer) -> None:
    printed = installer.done("install", {"image": {"repository": repository}}, "--dry-run=server")
    assert (f"image.repository ({repository}) names no registry" in printed) is warned


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True), ({"LOG_LEVEL": "DEBUG"}, False)],
)
def test_ways_that_the_policy_does_not_open_are_told_of(
    settings: dict[str, str], told: bool, installer: Installer
) -> None:
    values = {"networkPolicy": {"enabled": True}, "settings": settings}
    printed = installer.done("install", values, "--dry-run=server")
    assert ("lets pods reach the web at port 443." in printed) is told


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"enabled": True}, True),
        ({"enabled": True, "runbookUrl": "https://docs.example.com/alerts.html"}, False),
        ({"enabled": False}, False),
    ],
)
def test_links_that_lead_nowhere_are_told_of(rules: dict[str, Any], told: bool, installer: Installer) -> None:
    printed = installer.done("install", {"metrics": {"prometheusRule": rules}}, "--dry-run=server")
    assert ("metrics.prometheusRule.runbookUrl is not set" in printed) is told


@pytest.mark.parametrize(
    "written",
    [
        "first-secret-of-20-characters",
        "first-secret-of-20-characters:submit+read",
        "first-secret-of-20-characters:submit+read,second-secret-of-20-letters:admin",
    ],
)
def test_the_command_that_is_told_prints_the_first_key_without_its_scopes(written: str, installer: Installer) -> None:
    printed = installer.done("install", {}, "--dry-run=server")
    (command,) = re.findall(r"API_KEY=\$\(kubectl .+? \| (base64 .+)\)$", printed, re.MULTILINE)
    encoded = base64.b64encode(written.encode()).decode()
    done = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True, input=encoded)
    assert done.stdout.strip() == "first-secret-of-20-characters"
