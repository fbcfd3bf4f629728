"""What `python -m monitoring` makes is what lies in deploy/monitoring, and can be read by whom it is for."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.config import Settings, variables
from app.telemetry import names
from app.telemetry.events import Event
from monitoring.__main__ import DASHBOARDS, DIRECTORY, files, main
from monitoring.alerts import ALERTS, Alert
from monitoring.panels import Dashboard, Json, Panel
from monitoring.promql import grouping_of, metrics_of, scoped
from monitoring.recording import RECORDINGS
from monitoring.rules import anchor, rules_file
from tests.support.prometheus import RULES, promtool

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_what_lies_there_is_what_the_code_makes() -> None:
    found = {path.relative_to(DIRECTORY).as_posix(): path.read_text() for path in DIRECTORY.rglob("*.*")}
    assert found == files()


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["monitoring", *arguments])
    return main()


def test_a_file_that_is_not_as_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    into = f"--into={tmp_path}"
    assert run(monkeypatch, into) == 0
    assert run(monkeypatch, into, "--check") == 0
    (tmp_path / "rules/review-fetcher.yml").write_text("groups: []\n")
    (tmp_path / "dashboards/another.json").write_text("{}")
    assert run(monkeypatch, into, "--check") == 1
    said = capsys.readouterr().err
    assert "rules/review-fetcher.yml is not as made" in said
    assert "dashboards/another.json is not as made" in said


def test_alerts_link_to_where_the_operator_keeps_the_page() -> None:
    made = rules_file("https://wiki.example.com/alerts")
    assert 'runbook_url: "https://wiki.example.com/alerts#reviewfetchernoleader"' in made


def test_prometheus_takes_the_rules() -> None:
    checked = promtool("check", "rules", str(RULES))
    assert checked.returncode == 0, checked.stderr
    assert f"{len(ALERTS) + len(RECORDINGS)} rules found" in checked.stdout


def panels() -> Iterator[tuple[Dashboard, Panel]]:
    for dashboard in DASHBOARDS:
        for row in dashboard.rows:
            yield from ((dashboard, panel) for panel in row.panels)


def placed(dashboard: Dashboard) -> list[Json]:
    made: list[Json] = dashboard.as_json()["panels"]
    return made


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)
def test_panels_have_ids_and_places_of_their_own(dashboard: Dashboard) -> None:
    made = placed(dashboard)
    assert len({panel["id"] for panel in made}) == len(made)
    cells = [
        (x, y)
        for where in (panel["gridPos"] for panel in made)
        for x in range(where["x"], where["x"] + where["w"])
        for y in range(where["y"], where["y"] + where["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) == 23


@pytest.mark.parametrize(("dashboard", "panel"), list(panels()), ids=lambda value: value.title)
def test_a_panel_says_what_it_shows_in_what_unit(dashboard: Dashboard, panel: Panel) -> None:
    assert panel.description.endswith(".")
    assert panel.unit in {"short", "s", "bytes", "percent", "percentunit", "reqps"}
    assert panel.queries
    titles = [other.title for row in dashboard.rows for other in row.panels]
    assert titles.count(panel.title) == 1


def test_dashboards_have_names_of_their_own_and_choose_their_source() -> None:
    assert len({dashboard.uid for dashboard in DASHBOARDS}) == len(DASHBOARDS)
    for dashboard in DASHBOARDS:
        assert dashboard.as_json()["templating"]["list"][0]["type"] == "datasource"
        sources = {panel["datasource"]["uid"] for panel in placed(dashboard) if panel["type"] != "row"}
        assert sources == {"${datasource}"}


def test_numbers_of_the_store_are_never_added_up_over_replicas() -> None:
    """They are the same on each replica."""
    of_store = {metric.name for metric in names.ALL if metric.of_store}
    assert len(of_store) > 8
    expressions = [query.expression for _, panel in panels() for query in panel.queries]
    expressions += [alert.expression for alert in ALERTS] + [recording.expression for recording in RECORDINGS]
    for expression in expressions:
        for name in (named.metric for named in metrics_of(expression) if named.metric in of_store):
            before = expression[: expression.index(name)]
            assert re.search(r"\b(?:max|min)(?: by \([^)]*\))? ?\((?:avg_over_time\(\()?$", before), expression


def test_every_alert_has_a_section_and_every_section_an_alert() -> None:
    headings = re.findall(r"^## (ReviewFetcher\w+)$", (DOCS / "alerts.md").read_text(), re.MULTILINE)
    assert headings == [alert.name for alert in ALERTS]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_section_tells_what_it_means_what_users_see_what_to_look_at_and_what_to_do(alert: Alert) -> None:
    page = (DOCS / "alerts.md").read_text()
    name, promise = alert.name, alert.promise
    section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\*\*(.+?)\.\*\*", section, re.MULTILINE) == ["It means", "Users see", "Look", "Do"]
    assert f"within {promise}" in " ".join(section.split())
    assert f"#{anchor(alert)}" in RULES.read_text()


def test_a_section_names_commands_events_and_settings_that_exist() -> None:
    page = (DOCS / "alerts.md").read_text()
    commands = " ".join(re.findall(r"^### `([^`]+)`$", (DOCS / "cli.md").read_text(), re.MULTILINE))
    told = set(re.findall(r"`(review-fetcher [a-z]+(?: [a-z]+)?)", page))
    assert len(told) >= 5
    assert [command for command in told if command not in commands] == []
    events = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", page))
    assert len(events) >= 8
    assert events <= set(Event)
    settings = {name for name in re.findall(r"`([A-Z]+_[A-Z_]+)`", page) if not name.endswith("_")}
    known = {variable.name for variable in variables(Settings)} | {"REVIEW_FETCHER_API_KEY"}
    assert settings <= known


@pytest.mark.parametrize(
    ("expression", "metrics", "grouped"),
    [
        ("max(a_b)", [("a_b", set())], set()),
        ('sum by (x, y) (rate(a{b="c",d=~"e|f"}[5m]))', [("a", {"b", "d"})], {"x", "y"}),
        ('a{b="max(c{d})"} / on (instance) d:e:f offset 5m', [("a", {"b"}), ("d:e:f", set())], {"instance"}),
        ("60 * time() - a > 0 and b or vector(0)", [("a", set()), ("b", set())], set()),
        ("histogram_quantile(0.9, sum by (le) (rate(a_bucket[$__rate_interval])))", [("a_bucket", set())], {"le"}),
    ],
)
def test_the_names_in_an_expression_are_found(
    expression: str, metrics: list[tuple[str, set[str]]], grouped: set[str]
) -> None:
    assert [(named.metric, set(named.labels)) for named in metrics_of(expression)] == metrics
    assert grouping_of(expression) == grouped


def test_a_label_that_an_expression_makes_is_not_asked_of_its_metrics() -> None:
    made = 'a unless on (x, y) (label_replace(b, "x", "$1", "z", "(.+)") > 0)'
    assert grouping_of(made) == {"y"}
    assert [named.metric for named in metrics_of(made)] == ["a", "b"]


@pytest.mark.parametrize(
    ("expression", "selectors"),
    [
        ("max(a) - b", ["a", "b"]),
        ('sum by (x) (rate(a{x="one",y=~"two|three"}[5m]))', ['a{x="one",y="two"}', 'a{x="one",y="three"}']),
        ('a{x!="/{id}/one"} > 0', ['a{x="/{id}/one"}']),
        ('a{x=~"one_.*"} or b{x!~"one.*"}', ['a{x=~"one_.*"}', 'b{x=~"one.*"}']),
    ],
)
def test_every_value_that_a_selector_names_is_asked_for(expression: str, selectors: list[str]) -> None:
    assert [selector for named in metrics_of(expression) for selector in named.each()] == selectors


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("max(a_b) == 0", 'max(a_b{x="y"}) == 0'),
        ('sum by (x, y) (rate(a{b="c",d=~"e|f"}[5m]))', 'sum by (x, y) (rate(a{b="c",d=~"e|f",x="y"}[5m]))'),
        ('a{b="max(c{d})"} / on (z) d:e:f offset 5m', 'a{b="max(c{d})",x="y"} / on (z) d:e:f{x="y"} offset 5m'),
        ("60 * time() - a{} > 0 or vector(0)", '60 * time() - a{x="y"} > 0 or vector(0)'),
    ],
)
def test_an_expression_is_of_one_release_in_each_selector(expression: str, expected: str) -> None:
    assert scoped(expression, {"x": "y"}) == expected
    assert scoped(expression, {}) == expression
