"""What Kubernetes and the makers of its extensions say an object must look like."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import helm_tools
import jsonschema
import kubernetes_validate
import yaml

VERSIONS = ("1.30", "1.37")
"""The oldest that the chart is for, and the newest whose schemas there are."""

_OPERATOR = ("github.com/prometheus-operator/prometheus-operator", "v0.85.0", "example/prometheus-operator-crd")
_SOURCES = {
    "ServiceMonitor": (*_OPERATOR, "monitoring.coreos.com_servicemonitors.yaml"),
    "PrometheusRule": (*_OPERATOR, "monitoring.coreos.com_prometheusrules.yaml"),
    "ScaledObject": ("github.com/kedacore/keda/v2", "v2.20.2", "config/crd/bases", "keda.sh_scaledobjects.yaml"),
    "ExternalSecret": (
        "github.com/external-secrets/external-secrets",
        "v1.3.2",
        "config/crds/bases",
        "external-secrets.io_externalsecrets.yaml",
    ),
}
"""Kind → Go module, version, folder and file of its CustomResourceDefinition."""

PINNED = {kind: version for kind, (_, version, _, _) in _SOURCES.items()}


def validate(one: Mapping[str, Any]) -> None:
    """Raises jsonschema's ValidationError for an object that is not as its schema says, unknown fields included."""
    if one["kind"] in _SOURCES:
        jsonschema.Draft7Validator(_schema(one["kind"], one["apiVersion"])).validate(one)
        return
    for version in VERSIONS:
        kubernetes_validate.validate(dict(one), version, strict=True)


def definition(kind: str) -> dict[str, Any]:
    """The CustomResourceDefinition, from the sources of who made it."""
    path, version, folder, file = _SOURCES[kind]
    found: dict[str, Any] = yaml.safe_load((helm_tools.module(path, version) / folder / file).read_text())
    return found


@cache
def _schema(kind: str, api_version: str) -> dict[str, Any]:
    crd = definition(kind)
    group, _, version = api_version.partition("/")
    assert (crd["spec"]["group"], crd["spec"]["names"]["kind"]) == (group, kind)
    (served,) = (one for one in crd["spec"]["versions"] if one["name"] == version and one["served"])
    schema: dict[str, Any] = closed(served["schema"]["openAPIV3Schema"])
    return schema


def closed(schema: Any) -> Any:
    """The schema without room for fields that it does not name, which a server would drop in silence."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(one) for name, one in schema.items()}
    is_object = isinstance(schema.get("properties"), dict) and schema.get("type") == "object"
    if is_object and "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        inner["additionalProperties"] = False
    return inner
