"""What no schema knows: the objects of one rendering fit each other, and each pod has no more than it needs."""

import re
from base64 import b64decode
from collections.abc import Iterator
from importlib.metadata import version as installed_version
from typing import Any

import pytest

from app.api.routes.operations import SPARED
from app.api.surface import PROBES
from app.wiring.running import STOP_SECONDS
from monitoring.promql import metrics_of
from tests.contract.chart.combinations import CANARIES, COMBINATIONS, EXISTING
from tests.support.chart import (
    CHART,
    NAMESPACE,
    PROJECT,
    RELEASE,
    Object,
    hook_of,
    named,
    of_kind,
    pods,
    render,
    selected,
    template,
    waiting,
    workloads,
)

SLOW_CLIENTS_SECONDS = 5
"""With the above: an orderly stop ends within 25 s."""

ROLES = {"api", "scheduler", "accounts", "locations", "reviews", "publisher"}


def containers(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """The pod's spec, and each container in it."""
    for _, pod in pods(objects):
        for container in pod["spec"]["containers"] + pod["spec"].get("initContainers", []):
            yield pod["spec"], container


def test_every_container_is_without_power(objects: list[Object]) -> None:
    """The image's user, a root that cannot be written, no capability, and no way to the Kubernetes API."""
    found = list(containers(objects))
    assert found
    for spec, container in found:
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == spec["securityContext"]["runAsGroup"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert not [one for one in spec.get("volumes", []) if "hostPath" in one]


def test_every_container_may_only_take_so_much_memory(objects: list[Object]) -> None:
    assert [one["name"] for _, one in containers(objects) if "memory" not in one["resources"]["limits"]] == []


def test_every_object_has_the_labels_of_helms_conventions(objects: list[Object]) -> None:
    for one in objects:
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == RELEASE
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["app.kubernetes.io/name"].startswith("review-fetcher")
        assert one["metadata"]["namespace"] == NAMESPACE


def test_no_two_objects_have_one_name(objects: list[Object]) -> None:
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("release", ["a", "review-fetcher", "r" * 53])
def test_names_are_short_enough_for_every_release(release: str, every_rendering: dict[str, list[Object]]) -> None:
    """53 letters are what Helm allows a release; a label of DNS has 63, and a StatefulSet's pods need ten of them."""
    values = {
        "mode": "roles",
        "settings": {"KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"},
        "secrets": {"DATABASE_URL": {"existingSecret": "a"}},
    }
    for chosen in ({}, values):
        names = [one["metadata"]["name"] for one in render(chosen, release=release)]
        assert [name for name in names if len(name) > 57 and not name.endswith("-generated")] == []
        assert max(map(len, names)) <= 63


def test_workloads_have_each_role_once_and_no_other(combination: str, objects: list[Object]) -> None:
    given = [roles_of(one) for one in workloads(objects)]
    if combination.startswith("roles"):
        assert all(len(roles) == 1 for roles in given)
        assert sorted(role for (role,) in given) == sorted(ROLES)
    else:
        (roles,) = given
        assert set(roles) == ROLES


def roles_of(one: Object) -> list[str]:
    (container,) = one["spec"]["template"]["spec"]["containers"]
    (roles,) = [entry["value"] for entry in container["env"] if entry["name"] == "ROLES"]
    return str(roles).split(",")


def test_a_file_has_one_pod_at_most_and_all_else_is_replaced_without_a_gap(objects: list[Object]) -> None:
    most = 0 if waiting(objects) else 1
    for one in workloads(objects):
        keeps_file = "data" in [mount["name"] for mount in service_container(one)["volumeMounts"]]
        if keeps_file:
            assert (one["kind"], one["spec"]["replicas"]) == ("StatefulSet", most)
        elif one["kind"] == "Deployment":
            assert one["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        assert one["spec"].get("replicas", 2) >= most


def service_container(one: Object) -> Object:
    (container,) = one["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "review-fetcher"
    return dict(container)


def test_selectors_match_the_pods_that_they_are_for_and_no_others(objects: list[Object]) -> None:
    for one in workloads(objects) + waiting(objects):
        found = selected(one["spec"]["selector"]["matchLabels"], objects)
        assert found == [one], "a Deployment would count another's pods as its own"
    for one in of_kind(objects, "PodDisruptionBudget"):
        assert [found["metadata"]["name"] for found in selected(one["spec"]["selector"]["matchLabels"], objects)] == [
            one["metadata"]["name"]
        ]


def test_every_kind_of_pod_has_a_budget_for_disruptions(combination: str, objects: list[Object]) -> None:
    """But for a single one, which could then never be moved."""
    without = combination.startswith("single") or combination in ("default", "replicas, no extras")
    expected = [] if without else workloads(objects)
    budgets = of_kind(objects, "PodDisruptionBudget")
    assert sorted(one["metadata"]["name"] for one in budgets) == sorted(one["metadata"]["name"] for one in expected)


def test_services_lead_to_ports_of_pods_that_serve(objects: list[Object]) -> None:
    services = of_kind(objects, "Service")
    assert services
    for service in services:
        found = selected(service["spec"]["selector"], objects)
        assert found
        assert {one["kind"] for one in found} <= {"Deployment", "StatefulSet"}, "a Job is no replica"
        for port in service["spec"]["ports"]:
            for one in found:
                assert port["targetPort"] in [known["name"] for known in service_container(one)["ports"]]


def test_clients_reach_the_pods_that_serve_jobs_and_metrics_those_of_every_role(objects: list[Object]) -> None:
    named_of = {one["metadata"]["name"]: one for one in of_kind(objects, "Service")}
    serving = selected(named_of["rf-review-fetcher"]["spec"]["selector"], objects)
    assert all("api" in roles_of(one) for one in serving)
    assert [one for one in workloads(objects) if "api" in roles_of(one)] == serving
    if "rf-review-fetcher-metrics" in named_of:
        assert selected(named_of["rf-review-fetcher-metrics"]["spec"]["selector"], objects) == workloads(objects)


def test_the_ingress_leads_to_the_service_of_the_jobs(objects: list[Object]) -> None:
    for one in of_kind(objects, "Ingress"):
        for rule in one["spec"]["rules"]:
            (path,) = rule["http"]["paths"]
            service = named(objects, "Service", path["backend"]["service"]["name"])
            assert path["backend"]["service"]["port"]["name"] in [port["name"] for port in service["spec"]["ports"]]
            assert service["metadata"]["name"] == "rf-review-fetcher"


def test_what_pods_refer_to_exists(combination: str, objects: list[Object]) -> None:
    """Secrets with the keys that are read, ConfigMaps, service accounts."""
    known = secrets_in(objects)
    if "elsewhere" in combination:
        known |= EXISTING
    for _, pod in pods(objects):
        spec = pod["spec"]
        assert set(read_secrets(spec)) <= known
        for container in spec["containers"]:
            for source in container.get("envFrom", []):
                named(objects, "ConfigMap", source["configMapRef"]["name"])
        for claim in claims_of(spec):
            assert claim == "reviews" or named(objects, "PersistentVolumeClaim", claim)
        account = spec.get("serviceAccountName", "default")
        assert account == "default" or named(objects, "ServiceAccount", account)


def claims_of(spec: Object) -> list[str]:
    claimed = (volume.get("persistentVolumeClaim") for volume in spec.get("volumes", []))
    return [claim["claimName"] for claim in claimed if claim]


def test_a_claim_outlives_the_release_and_is_made_where_a_file_is_kept(combination: str, objects: list[Object]) -> None:
    found = of_kind(objects, "PersistentVolumeClaim")
    elsewhere = ("single, for trying out", "single, existing claim", "single, a server")
    assert len(found) == (combination.startswith(("default", "single")) and not combination.startswith(elsewhere))
    for one in found:
        assert one["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
        (pod,) = (pod for maker, pod in pods(objects) if maker["kind"] == "StatefulSet")
        assert claims_of(pod["spec"]) == [one["metadata"]["name"]]


def secrets_in(objects: list[Object]) -> set[tuple[str, str]]:
    """Name and key of what the release makes, or has made."""
    own = {(one["metadata"]["name"], key) for one in of_kind(objects, "Secret") for key in one["data"]}
    made = {
        (one["spec"]["target"]["name"], entry["secretKey"])
        for one in of_kind(objects, "ExternalSecret")
        for entry in one["spec"]["data"]
    }
    return own | made


def read_secrets(spec: Object) -> Iterator[tuple[str, str]]:
    for volume in spec.get("volumes", []):
        for source in volume.get("projected", {}).get("sources", []):
            for item in source["secret"]["items"]:
                yield source["secret"]["name"], item["key"]


def test_every_volume_that_is_mounted_is_there(objects: list[Object]) -> None:
    for maker, pod in pods(objects):
        assert "volumeClaimTemplates" not in maker["spec"], "nothing of one can be changed by an upgrade"
        there = [one["name"] for one in pod["spec"].get("volumes", [])]
        assert len(set(there)) == len(there)
        for container in pod["spec"]["containers"]:
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= set(there)


def test_a_hook_needs_nothing_that_is_made_later(combination: str, objects: list[Object]) -> None:
    """What a release adds is not there while its hooks run: what they need is a hook itself, and comes before."""
    for maker, pod in pods([one for one in objects if hook_of(one) not in ("", "test")]):
        earlier = [one for one in objects if hook_of(one) == hook_of(maker) and weight(one) < weight(maker)]
        known = secrets_in(earlier) | (EXISTING if "elsewhere" in combination else set())
        assert set(read_secrets(pod["spec"])) <= known
        assert list(read_secrets(pod["spec"]))
        account = pod["spec"]["serviceAccountName"]
        assert account == "default" or named(earlier, "ServiceAccount", account)
        assert not [source for one in pod["spec"]["containers"] for source in one.get("envFrom", [])]


def weight(one: Object) -> int:
    return int(one["metadata"]["annotations"].get("helm.sh/hook-weight", "0"))


def test_tables_are_migrated_before_pods_change_where_there_is_a_server(
    combination: str, objects: list[Object]
) -> None:
    jobs = of_kind(objects, "Job")
    with_server = combination.startswith(("replicas", "roles", "single, a server"))
    without = combination == "replicas, no extras" or "vault" in combination or "maintenance" in combination
    assert len(jobs) == (with_server and not without), "rendered without a cluster, no vault has filled its Secret yet"
    for job in jobs:
        assert job["spec"]["template"]["spec"]["containers"][0]["command"] == ["review-fetcher", "migrate"]
        assert hook_of(job) == "pre-install,pre-upgrade"


def test_a_new_setting_or_secret_brings_new_pods() -> None:
    before = workloads(render({}))[0]["spec"]["template"]["metadata"]["annotations"]
    for change in ({"settings": {"LOG_LEVEL": "DEBUG"}}, {"secrets": {"API_KEYS": {"value": CANARIES[1]}}}):
        assert workloads(render(change))[0]["spec"]["template"]["metadata"]["annotations"] != before
    assert workloads(render({}))[0]["spec"]["template"]["metadata"]["annotations"] == before


def test_scalers_have_targets_whose_number_nobody_else_sets(objects: list[Object]) -> None:
    scalers = of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")
    targets = [one["spec"]["scaleTargetRef"]["name"] for one in scalers]
    assert len(set(targets)) == len(targets)
    for one in [] if waiting(objects) else workloads(objects):
        assert ("replicas" in one["spec"]) is (one["metadata"]["name"] not in targets)
    assert set(targets) <= {one["metadata"]["name"] for one in of_kind(objects, "Deployment")}
    for one in of_kind(objects, "HorizontalPodAutoscaler"):
        target = named(objects, "Deployment", one["spec"]["scaleTargetRef"]["name"])
        assert "api" in roles_of(target)
        assert "cpu" in service_container(target)["resources"]["requests"], "a share of nothing cannot be measured"


def test_work_that_may_run_is_what_more_pods_are_for(combination: str, objects: list[Object]) -> None:
    found = of_kind(objects, "ScaledObject")
    assert bool(found) is ("KEDA" in combination or combination in ("replicas, everything", "roles, everything"))
    for one in found:
        assert "reviews" in roles_of(named(objects, "Deployment", one["spec"]["scaleTargetRef"]["name"]))
        assert "cooldownPeriod" not in one["spec"], "it is for the way to no pod at all, which nobody goes"
        behavior = one["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert behavior == {"scaleDown": {"stabilizationWindowSeconds": 300}}
        (trigger,) = one["spec"]["triggers"]
        if combination != "roles, everything":
            of_release = 'stage="reviews",namespace="reviews",service="rf-review-fetcher-metrics"'
            assert [found.selector for found in metrics_of(trigger["metadata"]["query"])] == [
                f"review_fetcher_runnable_tasks{{{of_release}}}",
                f'review_fetcher_tasks{{{of_release},status=~"released|held"}}',
            ]
            assert named(objects, "Service", "rf-review-fetcher-metrics")


def test_no_secret_is_told_outside_a_secret(objects: list[Object]) -> None:
    told = [one for one in objects if one["kind"] != "Secret"]
    assert [secret for secret in CANARIES if secret in str(told)] == []


@pytest.mark.parametrize("combination", ["replicas, everything", "single, given secrets"])
def test_secrets_that_were_given_are_in_secrets(combination: str, every_rendering: dict[str, list[Object]]) -> None:
    """Or the test above could not fail."""
    data = [value for one in of_kind(every_rendering[combination], "Secret") for value in one["data"].values()]
    text = "".join(b64decode(value).decode() for value in data)
    assert sum(secret in text for secret in CANARIES) == 2


def test_secrets_reach_the_service_as_files_alone(objects: list[Object]) -> None:
    for one in workloads(objects):
        container = service_container(one)
        assert not [entry for entry in container["env"] if "secretKeyRef" in str(entry)]
        given = {entry["name"]: entry["value"] for entry in container["env"] if entry["name"].endswith("_FILE")}
        assert {"API_KEYS_FILE", "TOKEN_SEALING_KEYS_FILE"} <= set(given)
        (mount,) = (found for found in container["volumeMounts"] if found["name"] == "secrets")
        (volume,) = (found for found in one["spec"]["template"]["spec"]["volumes"] if found["name"] == "secrets")
        paths = {
            f"{mount['mountPath']}/{item['path']}"
            for source in volume["projected"]["sources"]
            for item in source["secret"]["items"]
        }
        assert paths == set(given.values())
        assert (mount["readOnly"], volume["projected"]["defaultMode"]) == (True, 0o440)


def test_keys_that_were_made_are_kept_and_nothing_changes_them(objects: list[Object]) -> None:
    for one in (found for found in of_kind(objects, "Secret") if found["metadata"]["name"].endswith("-generated")):
        assert one["immutable"] is True
        assert one["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_a_stop_has_the_time_that_it_takes(objects: list[Object]) -> None:
    for one in workloads(objects):
        spec, container = one["spec"]["template"]["spec"], service_container(one)
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert spec["terminationGracePeriodSeconds"] >= pause + STOP_SECONDS + SLOW_CLIENTS_SECONDS


def test_probes_ask_what_the_service_answers_at_the_port_of_the_image(objects: list[Object]) -> None:
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    for one in workloads(objects):
        container = service_container(one)
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        assert ports["http"] == int(exposed)
        asked = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
        apart = "metrics" if "metrics" in ports else "http"
        assert {name: probe["port"] for name, probe in asked.items()} == {
            "startupProbe": "http",
            "livenessProbe": apart,
            "readinessProbe": "http",
        }, "clients can take all connections of one port"
        assert {probe["path"].partition("?")[0] for probe in asked.values()} == set(PROBES)
        assert asked["livenessProbe"]["path"] == "/livez", "a restart does not bring back a database that is away"


def test_pods_that_serve_jobs_stay_reachable_without_their_broker(objects: list[Object]) -> None:
    for one in workloads(objects):
        path = service_container(one)["readinessProbe"]["httpGet"]["path"]
        assert excluded(path) == (SPARED if "api" in roles_of(one) else {"publisher"})


def excluded(path: str) -> set[str]:
    return set(re.findall(r"exclude=(\w+)", path))


def test_no_pod_is_killed_because_the_broker_is_away_while_it_starts(objects: list[Object]) -> None:
    for one in workloads(objects):
        assert excluded(service_container(one)["startupProbe"]["httpGet"]["path"]) == SPARED


def test_a_publisher_that_waits_for_a_decision_can_be_replaced(objects: list[Object]) -> None:
    for one in workloads(objects):
        if "publisher" in roles_of(one):
            for probe in ("startupProbe", "readinessProbe"):
                assert "publisher" in excluded(service_container(one)[probe]["httpGet"]["path"])


def test_a_policy_is_for_every_pod_but_the_one_that_tests(objects: list[Object]) -> None:
    for policy in of_kind(objects, "NetworkPolicy"):
        found = selected(policy["spec"]["podSelector"]["matchLabels"], objects)
        assert found == [maker for maker, _ in pods(objects) if hook_of(maker) != "test"]
        known = {"http", "metrics"} if "metrics" in str(policy["spec"]["ingress"]) else {"http"}
        assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} == known


@pytest.mark.parametrize(
    ("combination", "ports"),
    [("single, everything", {53, 443, 4318}), ("replicas, everything", {53, 443, 4318, 5432, 9092, 9093, 9094})],
)
def test_a_policy_opens_the_ways_that_a_mode_needs(
    combination: str, ports: set[int], every_rendering: dict[str, list[Object]]
) -> None:
    (policy,) = of_kind(every_rendering[combination], "NetworkPolicy")
    assert {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]} == ports


@pytest.mark.parametrize(("way", "ports"), [("web", {443}), ("kafka", {9092, 9093, 9094}), ("postgresql", {5432})])
def test_a_way_that_is_closed_is_not_in_the_policy(way: str, ports: set[int]) -> None:
    values = COMBINATIONS["replicas"] | {"networkPolicy": {"enabled": True, way: {"enabled": False}}}
    (policy,) = of_kind(render(values), "NetworkPolicy")
    opened = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert opened == {53, 443, 5432, 9092, 9093, 9094} - ports


def test_pods_of_a_kind_are_spread(combination: str, objects: list[Object]) -> None:
    for one in workloads(objects):
        told: list[Any] = one["spec"]["template"]["spec"].get("topologySpreadConstraints", [])
        assert bool(told) is (one["kind"] == "Deployment" and combination != "replicas, no extras")
        for constraint in told:
            assert selected(constraint["labelSelector"]["matchLabels"], objects) == [one]


def test_an_image_is_named_by_its_digest_or_by_the_version(
    every_rendering: dict[str, list[Object]],
) -> None:
    for name, objects in every_rendering.items():
        images = {container["image"] for _, container in containers(objects)}
        digest = f"registry.example.com/review-fetcher@sha256:{'0' * 64}"
        assert images == {
            digest if name == "single, given secrets" else f"review-fetcher:{installed_version('review-fetcher')}"
        }


def test_a_cluster_that_is_too_old_is_refused() -> None:
    done = template({}, kubernetes="1.29.9")
    assert done.returncode != 0
    assert "requires kubeVersion: >=1.30.0-0" in done.stderr


def test_every_template_begins_for_people() -> None:
    """No file of the chart may be a forgotten one."""
    assert [path.name for path in CHART.rglob("*") if path.is_file() and not path.read_text().strip()] == []
