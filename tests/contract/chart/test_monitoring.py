"""What the chart ships for Prometheus and Grafana is what the project keeps for them."""

import json
from copy import deepcopy
from typing import Any

import yaml

from tests.support.chart import PROJECT, Object, named, of_kind

RULES = PROJECT / "deploy/monitoring/rules/review-fetcher.yml"
DASHBOARDS = PROJECT / "deploy/monitoring/dashboards"


def test_the_rules_are_the_projects_with_links_to_where_its_pages_are(
    every_rendering: dict[str, list[Object]],
) -> None:
    (rule,) = of_kind(every_rendering["replicas, everything"], "PrometheusRule")
    expected: dict[str, Any] = yaml.safe_load(RULES.read_text())
    shown = deepcopy(rule["spec"])
    links = list(links_of(shown))
    assert links
    assert all(link.startswith("https://docs.example.com/docs/alerts.md#") for link in links)
    assert [link.partition("#")[2] for link in links] == [link.partition("#")[2] for link in links_of(expected)]
    assert without_links(shown) == without_links(expected)


def links_of(rules: dict[str, Any]) -> list[str]:
    alerts = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    return [rule["annotations"]["runbook_url"] for rule in alerts if "runbook_url" in rule.get("annotations", {})]


def without_links(rules: dict[str, Any]) -> dict[str, Any]:
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.get("annotations", {}).pop("runbook_url", None)
    return rules


def test_every_dashboard_is_shipped_as_it_is(every_rendering: dict[str, list[Object]]) -> None:
    objects = every_rendering["replicas, everything"]
    shipped = [one for one in of_kind(objects, "ConfigMap") if "grafana_dashboard" in one["metadata"]["labels"]]
    known = sorted(DASHBOARDS.glob("*.json"))
    assert len(shipped) == len(known)
    for path in known:
        one = named(objects, "ConfigMap", f"rf-review-fetcher-{path.stem.removeprefix('review-fetcher-')}")
        assert json.loads(one["data"][path.name]) == json.loads(path.read_text())
        assert one["metadata"]["annotations"] == {"grafana_folder": "Review Fetcher"}


def test_prometheus_is_led_to_the_metrics_of_every_pod_once(every_rendering: dict[str, list[Object]]) -> None:
    objects = every_rendering["roles, everything"]
    (monitor,) = of_kind(objects, "ServiceMonitor")
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    (service,) = (one for one in of_kind(objects, "Service") if wanted <= one["metadata"]["labels"].items())
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert endpoint["path"] == "/metrics"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
