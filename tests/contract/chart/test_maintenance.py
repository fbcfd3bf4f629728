"""A release in maintenance: no pod serves or works, one waits for commands, and the way back is the way it was."""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.contract.chart.combinations import COMBINATIONS, DATABASE_URL, KEDA, SERVERS
from tests.support.chart import Object, hook_of, of_kind, render, selected, waiting, workloads
from tests.support.installer import GENERATED, Installer
from tests.support.machine import lacking, program
from tests.support.service import eventually

IN_MAINTENANCE = [name for name in COMBINATIONS if "maintenance" in name]
ON = {"maintenance": {"enabled": True}}
EVERYWHERE = "replicas, KEDA, everything, maintenance"

Rendered = dict[str, list[Object]]


@pytest.fixture(params=IN_MAINTENANCE)
def resting(request: pytest.FixtureRequest, every_rendering: Rendered) -> list[Object]:
    return every_rendering[request.param]


def the_pod(objects: list[Object]) -> tuple[Object, Object]:
    """Its spec, and its container."""
    (one,) = waiting(objects)
    spec: Object = one["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return spec, container


def test_no_pod_serves_or_works_and_one_waits(resting: list[Object]) -> None:
    assert {one["spec"]["replicas"] for one in workloads(resting)} == {0}
    (one,) = waiting(resting)
    assert (one["spec"]["replicas"], one["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_nothing_brings_pods_back(resting: list[Object]) -> None:
    assert of_kind(resting, "HorizontalPodAutoscaler") == []
    for one in of_kind(resting, "ScaledObject"):
        assert one["metadata"]["annotations"] == {"autoscaling.keda.sh/paused-replicas": "0"}
    assert [one for one in resting if hook_of(one) not in ("", "test")] == [], "the database may be gone"


def test_the_pod_has_what_a_serving_one_has(resting: list[Object]) -> None:
    (serving, *_) = workloads(resting)
    spec, container = the_pod(resting)
    template = serving["spec"]["template"]["spec"]
    (known,) = template["containers"]
    for name in ("image", "imagePullPolicy", "securityContext", "envFrom", "volumeMounts"):
        assert container[name] == known[name], name
    assert [one for one in container["env"] if one["name"] != "ROLES"] == [
        one for one in known["env"] if one["name"] != "ROLES"
    ]
    for name in ("volumes", "securityContext", "serviceAccountName", "nodeSelector", "tolerations", "imagePullSecrets"):
        assert spec.get(name) == template.get(name), name


def test_the_pod_is_asked_for_nothing(resting: list[Object]) -> None:
    """No Service leads to it, no budget keeps its node from being drained, no probe asks what it does not serve."""
    for service in of_kind(resting, "Service"):
        assert waiting(resting)[0] not in selected(service["spec"]["selector"], resting)
    for budget in of_kind(resting, "PodDisruptionBudget"):
        assert waiting(resting)[0] not in selected(budget["spec"]["selector"]["matchLabels"], resting)
    _, container = the_pod(resting)
    assert not {"startupProbe", "livenessProbe", "readinessProbe", "lifecycle", "ports"} & set(container)


def test_the_pod_is_not_beside_one_that_serves_or_works(resting: list[Object]) -> None:
    """On no node: the file has one writer, and what wants every replica stopped wants the last one gone."""
    spec, _ = the_pod(resting)
    *_, term = spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/os", "every node has it"
    assert selected(term["labelSelector"]["matchLabels"], resting) == workloads(resting)


def test_the_affinity_of_the_values_is_kept_beside_it(every_rendering: Rendered) -> None:
    spec, _ = the_pod(every_rendering[EVERYWHERE])
    given: dict[str, Any] = COMBINATIONS[EVERYWHERE]["affinity"]
    affinity = deepcopy(spec["affinity"])
    affinity["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"].pop()
    assert affinity == given
    for one in workloads(every_rendering[EVERYWHERE]):
        assert one["spec"]["template"]["spec"]["affinity"] == given


AS_ROOT = () if os.geteuid() == 0 else ("--user", "--map-root-user")
AS_THE_FIRST = ("unshare", *AS_ROOT, "--pid", "--fork", "--kill-child")
"""As in a container: the kernel gives its first process no signal that it neither handles nor waits for."""


def test_the_pod_ends_at_once_when_it_is_told_to(every_rendering: Rendered) -> None:
    """With this Python in place of the image's: tests/flows/test_chart_pod.py has that one."""
    if subprocess.run([program("unshare"), *AS_THE_FIRST[1:], "true"], check=False, capture_output=True).returncode:
        lacking("no process can be the first of its own here (unshare --pid)")
    _, container = the_pod(every_rendering["single, maintenance"])
    assert container["command"][0] == "python"
    with subprocess.Popen([*AS_THE_FIRST, sys.executable, *container["command"][1:]]) as outside:
        assert eventually(partial(ended_when_told, outside), 30.0, "it ends at a SIGTERM").returncode == 0


def ended_when_told(outside: subprocess.Popen[bytes]) -> subprocess.Popen[bytes] | None:
    """Told at each look: what comes before it waits is lost."""
    for child in Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text().split():
        with suppress(ProcessLookupError):
            os.kill(int(child), signal.SIGTERM)
    return None if outside.poll() is None else outside


def replicas(installer: Installer) -> dict[str, int]:
    workloads = installer.cluster.of("deployments") | installer.cluster.of("statefulsets")
    return {name.removeprefix("rf-review-fetcher"): one["spec"]["replicas"] for name, one in workloads.items()}


ROLES: dict[str, Any] = {"mode": "roles", **SERVERS}


@pytest.mark.parametrize(
    ("values", "serving"),
    [
        ({"mode": "single"}, {"": 1}),
        ({"mode": "replicas", **SERVERS}, {"": 3}),
        (ROLES, dict.fromkeys(("-api", "-scheduler", "-accounts", "-locations", "-reviews", "-publisher"), 2)),
    ],
    ids=["single", "replicas", "roles"],
)
def test_a_release_goes_into_maintenance_and_comes_back(
    values: dict[str, Any], serving: dict[str, int], installer: Installer
) -> None:
    installer.done("install", values)
    before = deepcopy(kept_by(installer))
    assert before
    installer.done("upgrade", values | ON)
    assert replicas(installer) == dict.fromkeys(serving, 0) | {"-maintenance": 1}
    installer.done("upgrade", values)
    assert replicas(installer) == serving
    assert kept_by(installer) == before


def kept_by(installer: Installer) -> dict[str, Any]:
    """Keys that were made, and which volumes there are."""
    keys: dict[str, Any] = installer.cluster.of("secrets")[GENERATED]["data"]
    return keys | {name: one["metadata"]["uid"] for name, one in installer.cluster.of("persistentvolumeclaims").items()}


@pytest.mark.parametrize(
    ("scaling", "deployment", "least"),
    [
        ({"autoscaling": {"enabled": True, "minReplicas": 3}}, "-api", 3),
        ({"keda": KEDA | {"minReplicas": 4}}, "-reviews", 4),
        ({"autoscaling": {"enabled": True, "minReplicas": 3}, "keda": KEDA | {"minReplicas": 4}}, "-api", 3),
    ],
    ids=["CPU", "KEDA", "both"],
)
def test_pods_of_a_scaler_come_back_as_the_least_that_it_keeps(
    scaling: dict[str, Any], deployment: str, least: int, installer: Installer
) -> None:
    """Kubernetes' own lets a Deployment of none be: nobody would start them."""
    values = ROLES | scaling
    installer.done("install", values)
    installer.done("upgrade", values | ON)
    assert set(replicas(installer).values()) == {0, 1}
    assert installer.cluster.of("horizontalpodautoscalers") == {}
    installer.done("upgrade", values)
    assert replicas(installer)[deployment] == least
    assert len(installer.cluster.of("horizontalpodautoscalers")) == ("autoscaling" in scaling)
    for one in installer.cluster.of("scaledobjects").values():
        assert "autoscaling.keda.sh/paused-replicas" not in one["metadata"].get("annotations", {})


def test_a_database_that_is_gone_does_not_keep_a_release_out_of_maintenance(installer: Installer) -> None:
    values = COMBINATIONS["replicas"]
    installer.done("install", values)
    installer.cluster.jobs_fail = True
    installer.done("upgrade", values | ON)
    assert replicas(installer) == {"": 0, "-maintenance": 1}
    restored = {"secrets": {"DATABASE_URL": {"value": f"{DATABASE_URL}_restored"}}}
    installer.done("upgrade", values | ON | restored)
    deeds = installer.cluster.deeds
    assert ("change", "deployments", "rf-review-fetcher-maintenance") in deeds, "a pod reads its secrets at its start"
    installer.cluster.jobs_fail = False
    installer.done("upgrade", values | restored)
    assert ("create", "jobs", "rf-review-fetcher-migrate") in installer.cluster.deeds
    assert replicas(installer) == {"": 3}


@pytest.mark.parametrize("mode", ["single", "roles"])
def test_helm_tells_that_nothing_serves_and_how_to_go_on(mode: str, installer: Installer) -> None:
    values = ROLES if mode == "roles" else {"mode": "single"}
    printed = installer.done("install", values | ON)
    assert "maintenance.enabled is true: nothing serves" in printed
    (named,) = set(re.findall(r"deployment/(\S+)", printed))
    assert named in installer.cluster.of("deployments")
    assert "Submit a token" not in printed
    assert "maintenance" not in installer.done("upgrade", values)


def test_other_renderings_have_nothing_of_it() -> None:
    assert waiting(render({})) == []
