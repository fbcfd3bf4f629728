"""What the chart ships for Prometheus and Grafana is what the project keeps for them."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.alerts import ALERTS
from monitoring.promql import metrics_of
from monitoring.rules import RUNBOOKS, rules_file
from tests.support.chart import NAMESPACE, PROJECT, Object, named, of_kind, render
from tests.support.prometheus import promtool
from tests.support.website import Page

DASHBOARDS = PROJECT / "deploy/monitoring/dashboards"
RULES_OF_ONE = {"metrics": {"prometheusRule": {"enabled": True}}}


def test_the_rules_are_the_projects_for_one_release_with_links_to_where_its_pages_are(
    every_rendering: dict[str, list[Object]],
) -> None:
    (rule,) = of_kind(every_rendering["replicas, everything"], "PrometheusRule")
    scope = {"namespace": NAMESPACE, "service": "rf-review-fetcher-metrics"}
    expected: dict[str, Any] = yaml.safe_load(rules_file("https://docs.example.com/alerts.html", scope))
    assert rule["spec"] == expected


def test_links_of_alerts_lead_to_their_sections_of_the_site(documentation_site: Path) -> None:
    page = documentation_site / "alerts.html"
    address = "https://docs.example.com/review-fetcher/alerts.html"
    values = {"metrics": {"prometheusRule": {"enabled": True, "runbookUrl": address}}}
    links = links_of(render(values))
    assert {link.partition("#")[0] for link in links} == {address}
    assert {link.partition("#")[2] for link in links} <= Page(page).anchors


def test_links_of_alerts_are_the_projects_own_where_no_page_is_named() -> None:
    assert {link.partition("#")[0] for link in links_of(render(RULES_OF_ONE))} == {RUNBOOKS}


def links_of(objects: list[Object]) -> list[str]:
    (rule,) = of_kind(objects, "PrometheusRule")
    alerts = [one for group in rule["spec"]["groups"] for one in group["rules"] if "alert" in one]
    assert len(alerts) == len(ALERTS)
    return [one["annotations"]["runbook_url"] for one in alerts]


def rules_of(release: str) -> Object:
    (rule,) = of_kind(render(RULES_OF_ONE, release=release), "PrometheusRule")
    return dict(rule["spec"])


def test_every_rule_reads_the_series_of_its_own_release_and_says_whose_it_is(tmp_path: Path) -> None:
    rules = rules_of("staging")
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        selectors = metrics_of(rule["expr"])
        assert selectors
        assert [one for one in selectors if not {"namespace", "service"} <= one.labels] == []
        labels = {"namespace": NAMESPACE, "service": "staging-review-fetcher-metrics"}
        assert labels.items() <= rule["labels"].items()
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(rules))
    checked = promtool("check", "rules", str(tmp_path / "rules.yml"))
    assert checked.returncode == 0, checked.stderr


BUILD = "review_fetcher_build_info"
LEADER = "review_fetcher_leader"


@pytest.mark.parametrize(
    ("alert", "series", "labels"),
    [
        ("ReviewFetcherAbsent", {(BUILD, "production"): "1x40"}, {}),
        (
            "ReviewFetcherNoLeader",
            {(LEADER, "production"): "1x40", (LEADER, "staging"): "0x40"},
            {"role": "publisher"},
        ),
        (
            "ReviewFetcherReplicaDown",
            {("up", "production"): "1x40", ("up", "staging"): "0x40"},
            {"job": "review-fetcher", "instance": "staging"},
        ),
    ],
)
def test_two_releases_in_one_prometheus_neither_hide_each_other_nor_fire_twice(
    alert: str, series: dict[tuple[str, str], str], labels: dict[str, str], tmp_path: Path
) -> None:
    """Staging has what is wrong, production is well."""
    files = {release: tmp_path / f"{release}.yml" for release in ("staging", "production")}
    for release, file in files.items():
        file.write_text(yaml.safe_dump(rules_of(release)))
    rules = yaml.safe_load(files["staging"].read_text())["groups"][1]["rules"]
    (expected,) = (rule for rule in rules if rule["alert"] == alert)
    summary = expected["annotations"]["summary"].replace("{{ $labels.role }}", "publisher")
    annotations = expected["annotations"] | {"summary": summary.replace("{{ $labels.instance }}", "staging")}
    fired = {"exp_labels": labels | expected["labels"], "exp_annotations": annotations}
    one = {
        "interval": "15s",
        "input_series": [
            {"series": series_of(metric, release, labels), "values": values}
            for (metric, release), values in series.items()
        ],
        "alert_rule_test": [{"alertname": alert, "eval_time": "9m", "exp_alerts": [fired]}],
    }
    file = tmp_path / "cases.json"
    rule_files = [str(one) for one in files.values()]
    file.write_text(json.dumps({"rule_files": rule_files, "evaluation_interval": "15s", "tests": [one]}))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stderr + done.stdout


def series_of(metric: str, release: str, labels: dict[str, str]) -> str:
    """As the release's ServiceMonitor labels it."""
    given = {"job": "review-fetcher", "namespace": NAMESPACE, "service": f"{release}-review-fetcher-metrics"}
    given |= labels | {"instance": release}
    return f"{metric}{{{','.join(f'{name}={json.dumps(value)}' for name, value in given.items())}}}"


PODS = 3
MINUTES = 10
"""Of 40 scrapes."""

WORK = {
    "queued in Kafka alone": (("0x40", "192x40", "48x40", "0x40"), 240, 6),
    "waiting in the store alone": (("10000x40", "0x40", "0x40", "10000x40"), 10000, 6),
    "as much as pods hold": (("0x40", "0x40", "41x40", "0x40"), 41, 3),
    "the tail of a job": (("0x40", "0x40", "3x40", "0x40"), 3, 2),
    "a quota that was spent a minute ago": (("900x36 0x4", "384x36 12 0x3", "48x36 9 0x3", "9000x40"), 0, 2),
    "nothing": (("0x40", "0x40", "0x40", "0x40"), 0, 2),
}
"""Situation → samples of runnable, released, held and waiting reviews tasks; what is asked for at the end, and for how
many pods that is."""


def store_numbers(runnable: str, released: str, held: str, waiting: str) -> dict[str, str]:
    """Series of a release, of which each pod tells the same, and work of another stage and of another release."""
    samples: dict[str, str] = {}
    for pod in range(PODS):
        for stage, values in {
            "reviews": (runnable, released, held, waiting),
            "locations": ("70x40", "70x40", "70x40", "70x40"),
        }.items():
            given = {"stage": stage, "pod": f"rf-{pod}"}
            samples[series_of("review_fetcher_runnable_tasks", "rf", given)] = values[0]
            for status, told in zip(("released", "held", "waiting", "dead"), (*values[1:], "5x40"), strict=True):
                samples[series_of("review_fetcher_tasks", "rf", given | {"status": status})] = told
    elsewhere = {"stage": "reviews", "pod": "staging-0", "status": "released"}
    return samples | {series_of("review_fetcher_tasks", "staging", elsewhere): "500x40"}


@pytest.mark.parametrize("situation", WORK)
def test_pods_are_asked_for_by_the_work_that_may_run_wherever_it_is(
    situation: str, every_rendering: dict[str, list[Object]], tmp_path: Path
) -> None:
    (scaled,) = of_kind(every_rendering["replicas, KEDA"], "ScaledObject")
    (trigger,) = scaled["spec"]["triggers"]
    numbers, expected, pods = WORK[situation]
    samples = [{"series": series, "values": values} for series, values in store_numbers(*numbers).items()]
    asked = {"expr": trigger["metadata"]["query"], "eval_time": f"{MINUTES}m"}
    asked["exp_samples"] = [{"labels": "{}", "value": expected}]
    file = tmp_path / "cases.json"
    tests = [{"interval": "15s", "input_series": samples, "promql_expr_test": [asked]}]
    file.write_text(json.dumps({"evaluation_interval": "15s", "tests": tests}))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stderr + done.stdout
    wanted = math.ceil(expected / int(trigger["metadata"]["threshold"]))
    assert min(max(wanted, scaled["spec"]["minReplicaCount"]), scaled["spec"]["maxReplicaCount"]) == pods


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
    relabelled = {"targetLabel": "job", "replacement": "review-fetcher"}
    assert endpoint["relabelings"] == [relabelled], "alerts ask for the job by its name, whatever the release's is"
