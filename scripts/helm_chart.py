#!/usr/bin/env python3
"""Write what the Helm chart has from elsewhere: version, settings in its schema, alert rules, dashboards.

Run it in the project's environment after a change of any of these; a test compares.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from annotated_types import Ge, Gt, Le, Lt
from releasing.artifacts import chart_version

from app.config import Settings, Variable, variables
from monitoring.rules import rules_file

PROJECT = Path(__file__).resolve().parents[1]
CHART = PROJECT / "deploy/helm/review-fetcher"
CHART_FILE = CHART / "Chart.yaml"
SCHEMA = CHART / "values.schema.json"
MONITORING = PROJECT / "deploy/monitoring"

RULES_SCOPE = {"namespace": "RELEASE_NAMESPACE", "service": "METRICS_SERVICE"}
"""Labels that the release's ServiceMonitor gives. The chart's template puts the release's values in place of these."""

GIVEN_BY_THE_CHART = {
    "ROLES": "mode",
    "HOST": "the image",
    "PORT": "the image",
    "METRICS": "metrics.enabled",
    "METRICS_PORT": "metrics.port",
    "CRASH_AT": "nothing: it is for crash tests",
}
"""Variables that are no value of `settings`, and what decides about them instead."""

BOUNDS = {Ge: ("ge", "minimum"), Gt: ("gt", "exclusiveMinimum"), Le: ("le", "maximum"), Lt: ("lt", "exclusiveMaximum")}


def main() -> int:
    SCHEMA.write_text(schema_with_settings())
    CHART_FILE.write_text(chart_of_this_version())
    for target, content in copies().items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    for stale in stale_copies():
        stale.unlink()
    return 0


def chart_of_this_version() -> str:
    """Chart.yaml with the version of the project: the chart's as Helm writes it, and that of the image."""
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    text = re.sub(r"^version: .*$", f"version: {chart_version(version)}", CHART_FILE.read_text(), flags=re.MULTILINE)
    return re.sub(r"^appVersion: .*$", f"appVersion: {version}", text, flags=re.MULTILINE)


def schema_with_settings() -> str:
    """The schema of the values, with every setting of the service in it."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    schema["properties"]["settings"]["properties"] = {one.name: schema_of(one) for one in settable()}
    names = [one.name for one in variables(Settings) if one.secret]
    schema["properties"]["secrets"]["properties"] = {name: {"$ref": "#/$defs/secret"} for name in names}
    schema["properties"]["externalSecret"]["properties"]["data"]["properties"] = {
        name: {"$ref": "#/$defs/remote"} for name in names
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def settable() -> Iterator[Variable]:
    """The variables that are values of `settings`."""
    for variable in variables(Settings):
        if not variable.secret and variable.name not in GIVEN_BY_THE_CHART:
            yield variable


def schema_of(variable: Variable) -> dict[str, Any]:
    """What the setting may be in a file of values. What only the service can judge, it judges at its start."""
    annotation = variable.field.annotation
    described: dict[str, Any] = {"description": variable.field.description}
    choices = [choice for choice in get_args(annotation) if isinstance(choice, str)]
    if choices:
        return described | {"enum": choices}
    names: dict[Any, str] = {bool: "boolean", int: "integer", float: "number"}
    return described | {"type": names.get(annotation, "string")} | dict(_bounds(variable))


def _bounds(variable: Variable) -> Iterator[tuple[str, Any]]:
    for limit in variable.field.metadata:
        if type(limit) in BOUNDS:
            attribute, keyword = BOUNDS[type(limit)]
            yield keyword, getattr(limit, attribute)


def copies() -> dict[Path, bytes]:
    """A chart holds its files itself: path in the chart → content."""
    dashboards = sorted(MONITORING.glob("dashboards/*.json"))
    made = {CHART / "files" / source.relative_to(MONITORING): source.read_bytes() for source in dashboards}
    return made | {CHART / "files/rules/review-fetcher.yml": rules_file(scope=RULES_SCOPE).encode()}


def stale_copies() -> list[Path]:
    """Files of the chart whose source is gone."""
    return sorted(path for path in (CHART / "files").rglob("*.*") if path not in copies())


if __name__ == "__main__":
    sys.exit(main())
