"""The Helm chart, rendered by the real Helm without a cluster."""

import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.machine import lacking

PROJECT = Path(__file__).resolve().parents[2]
CHART = PROJECT / "deploy/helm/review-fetcher"
BUILD = PROJECT / "scripts/helm_tools.py"

BUILD_SECONDS = 900
"""For the first test of all, which may have to build Helm on a busy machine."""

NOT_POSSIBLE = 3
"""The exit code of the script when the machine lacks what it takes."""

RELEASE, NAMESPACE = "rf", "reviews"

MAINTENANCE = "maintenance"

Object = dict[str, Any]
"""One Kubernetes object."""


@cache
def helm_program() -> str:
    """Its path, built the first time. Where that is not possible the test is skipped, unless all must be there."""
    done = subprocess.run([sys.executable, str(BUILD)], check=False, capture_output=True, text=True)
    if done.returncode == NOT_POSSIBLE:
        lacking(done.stderr.strip())
    if done.returncode:
        pytest.fail(f"Helm could not be built:\n{done.stderr}", pytrace=False)
    return done.stdout.strip()


def helm(*arguments: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Helm's answer; `values` as from a file of values."""
    given = ["--values=-"] if values is not None else []
    return subprocess.run(
        [helm_program(), *arguments, *given],
        check=False,
        capture_output=True,
        text=True,
        input=yaml.safe_dump(dict(values)) if values is not None else "",
    )


def template(
    values: Mapping[str, Any], *, release: str = RELEASE, kubernetes: str = "1.37.0"
) -> subprocess.CompletedProcess[str]:
    options = ["--namespace", NAMESPACE, "--kube-version", kubernetes]
    return helm("template", release, str(CHART), *options, values=values)


def render(values: Mapping[str, Any], *, release: str = RELEASE) -> list[Object]:
    """Every object that is applied, hooks included."""
    done = template(values, release=release)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one is not None]


def refused(values: Mapping[str, Any]) -> str:
    """Why Helm does not render these values."""
    done = template(values)
    assert done.returncode != 0, "these values were accepted"
    return done.stderr


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    return [one for one in objects if one["kind"] in kinds]


def named(objects: Iterable[Object], kind: str, name: str) -> Object:
    (found,) = (one for one in of_kind(objects, kind) if one["metadata"]["name"] == name)
    return found


def hook_of(one: Object) -> str:
    """For example "pre-install,pre-upgrade"; nothing for what belongs to the release."""
    return str(one["metadata"].get("annotations", {}).get("helm.sh/hook", ""))


def pods(objects: Iterable[Object]) -> Iterator[tuple[Object, Object]]:
    """Each object that makes pods, and what they are like: {metadata, spec}."""
    for one in objects:
        if one["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield one, one["spec"]["template"]
        elif one["kind"] == "Pod":
            yield one, {"metadata": one["metadata"], "spec": one["spec"]}


def workloads(objects: Iterable[Object]) -> list[Object]:
    """What runs the service."""
    return [one for one in of_kind(objects, "Deployment", "StatefulSet") if component_of(one) != MAINTENANCE]


def waiting(objects: Iterable[Object]) -> list[Object]:
    """What waits for commands, in a maintenance."""
    return [one for one in of_kind(objects, "Deployment") if component_of(one) == MAINTENANCE]


def component_of(one: Object) -> str:
    return str(one["metadata"]["labels"].get("app.kubernetes.io/component", ""))


def selected(labels: Mapping[str, str], objects: Iterable[Object]) -> list[Object]:
    """The makers of pods that have these labels."""
    return [one for one, pod in pods(objects) if labels.items() <= pod["metadata"]["labels"].items()]
