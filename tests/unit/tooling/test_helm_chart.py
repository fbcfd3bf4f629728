"""The Helm chart has from the project what it says it has: settings, rules, dashboards, version."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import helm_chart
import yaml
from releasing.artifacts import chart_version

from app.config import Settings, variables

PROJECT = Path(__file__).resolve().parents[3]
CHART = PROJECT / "deploy/helm/review-fetcher"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
    return found


def test_what_is_generated_is_up_to_date() -> None:
    """Otherwise: python scripts/helm_chart.py."""
    assert helm_chart.schema_with_settings() == helm_chart.SCHEMA.read_text()
    assert helm_chart.chart_of_this_version() == helm_chart.CHART_FILE.read_text()
    assert {path: path.read_bytes() for path in helm_chart.copies()} == helm_chart.copies()
    assert helm_chart.stale_copies() == []


def test_every_variable_has_one_place_among_the_values() -> None:
    settings = set(schema()["properties"]["settings"]["properties"])
    secrets = set(schema()["properties"]["secrets"]["properties"])
    chart = set(helm_chart.GIVEN_BY_THE_CHART)
    assert settings | secrets | chart == {variable.name for variable in variables(Settings)}
    assert not settings & secrets
    assert not (settings | secrets) & chart


def test_every_secret_can_be_given_and_none_has_a_default() -> None:
    assert set(VALUES["secrets"]) == set(schema()["properties"]["secrets"]["properties"])
    assert {one["value"] + one["existingSecret"] for one in VALUES["secrets"].values()} == {""}


def test_the_schema_knows_every_value_and_nothing_else() -> None:
    assert set(schema()["properties"]) == {*VALUES, "global"}
    assert [path for path in open_objects(schema()["properties"], "") if path not in FREE] == []


FREE = {
    *("podSecurityContext", "securityContext", "global", "tolerations.items", "networkPolicy.extraEgress.items"),
    *("affinity.nodeAffinity", "affinity.podAffinity", "affinity.podAntiAffinity", "extraEnv.items.valueFrom"),
    *("extraVolumes.items", "extraVolumeMounts.items"),
}
"""What goes into a pod as it is: Kubernetes itself says what may be there."""


def open_objects(properties: dict[str, Any], above: str) -> list[str]:
    """Where a value that the schema does not name would be accepted."""
    found: list[str] = []
    for name, told in properties.items():
        is_list = told.get("type") == "array"
        path = f"{above}{name}.items" if is_list else f"{above}{name}"
        one = told.get("items", {}) if is_list else told
        if one.get("type") == "object" and "additionalProperties" not in one:
            found.append(path)
        found += open_objects(one.get("properties", {}), f"{path}.")
    return found


def test_the_chart_installs_the_version_of_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert (chart["version"], chart["appVersion"]) == (chart_version(version), version)


def test_the_readme_of_the_chart_has_a_row_for_every_value() -> None:
    rows = re.findall(r"^\| `([^`]+)`", (CHART / "README.md").read_text(), re.MULTILINE)
    assert sorted({row.partition(".")[0] for row in rows}) == sorted(VALUES)
