"""Every rendered object is one that Kubernetes, or the maker of the extension, would take."""

import jsonschema
import pytest

from tests.contract.chart.combinations import COMBINATIONS
from tests.support.chart import CHART, Object, helm, of_kind
from tests.support.kubernetes import validate


def test_every_object_is_as_its_schema_says(objects: list[Object]) -> None:
    assert len(objects) >= 6
    for one in objects:
        validate(one)


def test_the_combinations_render_every_kind_that_a_template_holds(every_rendering: dict[str, list[Object]]) -> None:
    held = {
        line.removeprefix("kind: ").strip()
        for path in (CHART / "templates").rglob("*.yaml")
        for line in path.read_text().splitlines()
        if line.startswith("kind: ") and "{{" not in line
    }
    rendered = {one["kind"] for objects in every_rendering.values() for one in objects}
    assert rendered == held | {"StatefulSet", "Deployment"}


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Deployment", "spec.template.spec.containers.0.imagePullPolice"),
        ("PodDisruptionBudget", "spec.maxUnavailible"),
        ("ServiceMonitor", "spec.endpoints.0.intervall"),
        ("PrometheusRule", "spec.groups.0.rules.0.annotation"),
        ("ScaledObject", "spec.minReplicas"),
        ("ExternalSecret", "spec.data.0.remote"),
    ],
)
def test_a_field_that_a_schema_does_not_know_is_seen(
    kind: str, path: str, every_rendering: dict[str, list[Object]]
) -> None:
    """Or the test above could not fail."""
    one, *_ = (found for objects in every_rendering.values() for found in of_kind(objects, kind))
    holder = one
    *way, wrong = path.split(".")
    for step in way:
        holder = holder[int(step)] if step.isdecimal() else holder[step]  # type: ignore[index]
    holder[wrong] = "x"
    try:
        with pytest.raises(jsonschema.ValidationError, match=wrong):
            validate(one)
    finally:
        del holder[wrong]


@pytest.mark.parametrize("combination", ["default", "replicas, everything", "roles, everything"])
def test_helm_finds_nothing_to_complain_of(combination: str) -> None:
    done = helm("lint", "--strict", "--quiet", str(CHART), "--kube-version", "1.37.0", values=COMBINATIONS[combination])
    assert done.returncode == 0, done.stdout + done.stderr
