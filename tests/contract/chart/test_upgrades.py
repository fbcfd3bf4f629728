"""The real Helm upgrades a release from some values to others: nothing is refused, taken away or lost on the way."""

import base64
from copy import deepcopy
from typing import Any

import pytest
import yaml

from tests.contract.chart.combinations import COMBINATIONS, DATABASE_URL, KEDA, SERVERS
from tests.support.admission import defaulted, refusal, waits_for
from tests.support.chart import Object
from tests.support.installer import Installer

MIGRATE = ("create", "jobs", "rf-review-fetcher-migrate")
REPLICAS: dict[str, Any] = {"mode": "replicas", **SERVERS}
SINGLE = {"mode": "single"}
"""The default values, said: Helm takes no values for those of the release before."""

VAULTED = COMBINATIONS["replicas, a vault"]
FILLED = "rf-review-fetcher-external"
CLAIM = "rf-review-fetcher-data"
FULL = {"DATABASE_URL": base64.b64encode(DATABASE_URL.encode()).decode()}


@pytest.mark.parametrize("data", [None, {"API_KEYS": ""}], ids=["no secret", "a secret without the key"])
def test_nothing_waits_for_a_secret_that_a_vault_is_yet_to_fill(
    data: dict[str, str] | None, installer: Installer
) -> None:
    installer.done("install", REPLICAS)
    if data is not None:
        installer.cluster.objects["secrets", FILLED] = filled(data)
    installer.done("upgrade", VAULTED)
    assert MIGRATE not in installer.cluster.deeds
    assert ("create", "externalsecrets", FILLED) in installer.cluster.deeds


def filled(data: dict[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": FILLED}, "data": data}


def test_with_the_secret_that_a_vault_has_filled_tables_are_migrated_first(installer: Installer) -> None:
    installer.done("install", VAULTED)
    assert MIGRATE not in installer.cluster.deeds
    installer.cluster.objects["secrets", FILLED] = filled(FULL)
    installer.done("upgrade", VAULTED | {"image": {"tag": "1.1.0"}})
    deeds = installer.cluster.deeds
    assert deeds.index(MIGRATE) < deeds.index(("change", "deployments", "rf-review-fetcher"))


@pytest.mark.parametrize(
    ("mode", "deployment", "scaling"),
    [
        ("replicas", "rf-review-fetcher", {"autoscaling": {"enabled": True}}),
        ("replicas", "rf-review-fetcher", {"keda": KEDA}),
        ("roles", "rf-review-fetcher-api", {"autoscaling": {"enabled": True}}),
        ("roles", "rf-review-fetcher-reviews", {"keda": KEDA}),
    ],
)
def test_pods_stay_while_their_number_is_handed_to_a_scaler(
    mode: str, deployment: str, scaling: dict[str, Any], installer: Installer
) -> None:
    values = {**SERVERS, "mode": mode, "replicas": 5, "roles": {"api": {"replicas": 5}, "reviews": {"replicas": 5}}}
    installer.done("install", values)
    installer.done("upgrade", values | scaling)
    spec = installer.cluster.of("deployments")[deployment]["spec"]
    assert spec["replicas"] == 5
    spec["replicas"] = 4
    installer.done("upgrade", values | scaling | {"image": {"tag": "1.1.0"}})
    assert installer.cluster.of("deployments")[deployment]["spec"]["replicas"] == 4, "the scaler's number"
    installer.done("upgrade", values)
    assert installer.cluster.of("deployments")[deployment]["spec"]["replicas"] == 5


@pytest.mark.parametrize(
    "change",
    [
        {"persistence": {"enabled": False}},
        {"persistence": {"existingClaim": "reviews"}},
        {"secrets": {"DATABASE_URL": {"value": DATABASE_URL}}},
    ],
    ids=["nothing kept", "another claim", "a server"],
)
def test_where_the_file_is_can_be_changed_and_changed_back(change: dict[str, Any], installer: Installer) -> None:
    installer.done("install", {})
    made = installer.cluster.of("persistentvolumeclaims")[CLAIM]["metadata"]["uid"]
    installer.done("upgrade", change)
    assert installer.cluster.of("persistentvolumeclaims")[CLAIM]["metadata"]["uid"] == made
    installer.done("upgrade", SINGLE)
    assert installer.cluster.of("persistentvolumeclaims")[CLAIM]["metadata"]["uid"] == made
    assert claimed(installer) == CLAIM


def claimed(installer: Installer) -> str:
    spec = installer.cluster.of("statefulsets")["rf-review-fetcher"]["spec"]["template"]["spec"]
    (name,) = (one["persistentVolumeClaim"]["claimName"] for one in spec["volumes"] if one["name"] == "data")
    return str(name)


def test_a_volume_grows(installer: Installer) -> None:
    installer.done("install", {})
    installer.done("upgrade", {"persistence": {"size": "20Gi"}})
    spec = installer.cluster.of("persistentvolumeclaims")[CLAIM]["spec"]
    assert spec["resources"] == {"requests": {"storage": "20Gi"}}


@pytest.mark.parametrize(
    ("persistence", "sentence"),
    [
        ({"storageClass": "fast"}, "persistence.storageClass: the claim rf-review-fetcher-data is there and cannot"),
        ({"accessModes": ["ReadWriteOncePod"]}, "persistence.accessModes: the claim rf-review-fetcher-data is there"),
    ],
)
def test_what_a_volume_cannot_become_is_refused_before_anything_is_changed(
    persistence: dict[str, Any], sentence: str, installer: Installer
) -> None:
    installer.done("install", {})
    tried = installer.tried("upgrade", {"persistence": persistence})
    assert tried.returncode != 0
    assert sentence in tried.stderr
    assert "persistence.existingClaim" in tried.stderr
    assert installer.cluster.deeds == []


def test_a_volume_keeps_its_class_when_the_values_no_longer_name_it(installer: Installer) -> None:
    installer.done("install", {"persistence": {"storageClass": "fast"}})
    installer.done("upgrade", SINGLE)
    assert installer.cluster.of("persistentvolumeclaims")[CLAIM]["spec"]["storageClassName"] == "fast"


def test_the_cluster_of_these_tests_refuses_what_a_real_one_does() -> None:
    """Or the tests above could not fail."""
    one: Object = yaml.safe_load("{spec: {serviceName: a, replicas: 1, volumeClaimTemplates: [{spec: {}}]}}")
    grown = deepcopy(one)
    grown["spec"]["replicas"] = 2
    assert refusal("statefulsets", one, grown) is None
    del grown["spec"]["volumeClaimTemplates"]
    assert "statefulsets" in str(refusal("statefulsets", one, grown))
    claim: Object = {"spec": {"storageClassName": "a", "resources": {}}}
    assert "claims" in str(refusal("persistentvolumeclaims", claim, {"spec": {"resources": {}}}))
    assert defaulted("deployments", {"spec": {}}) == {"spec": {"replicas": 1}}
    source = {"secret": {"name": "a", "items": [{"key": "b"}]}}
    pod = {"spec": {"volumes": [{"projected": {"sources": [source]}}]}}
    assert waits_for(pod, {"a": {"data": {"c": ""}}}) == {("a", "b")}
    assert waits_for(pod, {"a": {"data": {"b": ""}}}) == set()
