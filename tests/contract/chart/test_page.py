"""docs/kubernetes.md: the values that it shows are accepted, and do what the page says."""

import re
from typing import Any

import pytest
import yaml

from tests.support.chart import CHART, PROJECT, Object, render, workloads
from tests.support.kubernetes import PINNED, validate
from tests.support.markdown import read_blocks

PAGE = PROJECT / "docs/kubernetes.md"
RELEASING = PROJECT / "docs/releasing.md"
OPERATORS = {
    "ScaledObject": "KEDA",
    "ExternalSecret": "External Secrets Operator",
    "ServiceMonitor": "Prometheus Operator",
    "PrometheusRule": "Prometheus Operator",
}
SHOWN: list[dict[str, Any]] = [
    yaml.safe_load("\n".join(block.lines))
    for block in read_blocks(PAGE.read_text().splitlines(), PAGE.name)
    if block.language == "yaml"
]


@pytest.mark.parametrize("values", SHOWN, ids=map(str, range(len(SHOWN))))
def test_values_that_the_page_shows_are_rendered(values: dict[str, Any]) -> None:
    objects = render(values)
    for one in objects:
        validate(one)
    assert len(workloads(objects)) == (6 if values.get("mode") == "roles" else 1)


def test_the_page_shows_values_for_every_mode() -> None:
    assert {values.get("mode", "single") for values in SHOWN} == {"single", "replicas", "roles"}


@pytest.mark.parametrize(
    ("sentence", "value"),
    [
        ("a volume of {} of the cluster's default storage class", ("persistence", "size")),
        ("after `probes.startupSeconds` ({})", ("probes", "startupSeconds")),
        ("pauses for `preStopSeconds` ({})", ("preStopSeconds",)),
        ("`terminationGracePeriodSeconds` ({})", ("terminationGracePeriodSeconds",)),
        ("on a port of their own ({})", ("metrics", "port")),
        ("a Deployment of {} pods that are all alike", ("replicas",)),
        ("`migrations.activeDeadlineSeconds` ({})", ("migrations", "activeDeadlineSeconds")),
        ("`keda.scaleDownSeconds` ({})", ("keda", "scaleDownSeconds")),
        ("`keda.tasksPerReplica` ({})", ("keda", "tasksPerReplica")),
    ],
)
def test_numbers_of_the_page_are_those_of_the_chart(sentence: str, value: tuple[str, ...]) -> None:
    found: Any = yaml.safe_load((CHART / "values.yaml").read_text())
    for name in value:
        found = found[name]
    told = str(found).replace("Gi", " GiB")
    assert sentence.format(told) in " ".join(PAGE.read_text().split())


def test_the_page_tells_the_versions_of_operators_that_objects_were_checked_against(
    every_rendering: dict[str, list[Object]],
) -> None:
    rows = re.findall(r"^\|.*\| ([A-Z][\w ]+) (\d+\.\d+\.\d+) \|$", PAGE.read_text(), re.MULTILINE)
    told = {(operator, f"v{version}") for operator, version in rows}
    assert told == {(OPERATORS[kind], version) for kind, version in PINNED.items()}
    made = {one["kind"]: one["apiVersion"] for objects in every_rendering.values() for one in objects}
    for kind in PINNED:
        assert re.search(rf"\| [^|]*{kind}[^|]*\(`{made[kind]}`\) \|", PAGE.read_text()), kind


def test_the_page_builds_the_image_as_a_release_does() -> None:
    """An image of a bare checkout would say nothing of its version."""
    built = [re.findall(r"^docker build .*(- < .+)$", page.read_text(), re.MULTILINE) for page in (PAGE, RELEASING)]
    assert built[0] == built[1] != []


KEPT_FOR_SUPERUSERS = 3
"""`superuser_reserved_connections`, by default."""


def test_no_role_stops_with_one_pod() -> None:
    roles = yaml.safe_load((CHART / "values.yaml").read_text())["roles"]
    assert [role for role, told in roles.items() if told["replicas"] < 2] == []


def test_the_connections_that_the_page_counts_are_those_of_the_chart() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    pods, kinds = sum(role["replicas"] for role in values["roles"].values()), len(values["roles"])
    told = " ".join(PAGE.read_text().split())
    each = 11
    assert f"Each pod takes up to {each} connections of PostgreSQL" in told
    alike = values["replicas"]
    assert f"takes {each * alike}, and {each * (alike + 1)} during an upgrade" in told
    most = each * (pods + kinds)
    assert f"has {pods} pods, two of each" in told
    assert f"They take {each * pods}, and {most} while all six" in told
    (enough,) = re.findall(r"raise `max_connections` to (\d+) for it, of which PostgreSQL keeps 3", told)
    assert int(enough) - KEPT_FOR_SUPERUSERS >= most + each, "and a command, or the Job that migrates"


HELM_WAITS_SECONDS = 300
"""Its `--timeout` for a hook, by default."""


def test_a_migration_has_failed_before_helm_stops_waiting_for_it() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["migrations"]["activeDeadlineSeconds"] < HELM_WAITS_SECONDS
