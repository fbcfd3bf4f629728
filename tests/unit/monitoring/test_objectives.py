"""The objectives: docs/operating.md shows the queries of monitoring/objectives.py, and they give what they promise."""

import json
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from app.telemetry import names
from monitoring.objectives import COULD_RUN, OBJECTIVES
from monitoring.promql import metrics_of
from monitoring.recording import RECORDINGS
from tests.support.prometheus import RULES, promtool

PAGE = Path(__file__).resolve().parents[3] / "docs/operating.md"
SECTION = PAGE.read_text().partition("\n## Service levels\n")[2].partition("\n## ")[0]

POSTS = 'review_fetcher_http_requests_total{route="/api/v1/review-fetch",method="POST",status="%s"}'
FIRST = "review_fetcher_first_review_seconds"
AGE = "review_fetcher_unpublished_age_seconds"


class Case(NamedTuple):
    """Series by their samples, one every 15 s in promtool's notation, and the share that was good at `at`, to a
    hundredth; None: nothing was asked for."""

    objective: str
    at: str
    series: dict[str, str]
    share: float | None


CASES = (
    Case("acceptance", "2h", {POSTS % "2xx": "0+90x480", POSTS % "5xx": "0+10x480"}, 0.9),
    Case("acceptance", "4h", {POSTS % "2xx": "0+100x960", POSTS % "5xx": "0+100x120 12000x840"}, 0.89),
    Case("acceptance", "2h", {POSTS % "2xx": "0+80x480", POSTS % "gone": "0+20x480", POSTS % "5xx": "0x480"}, 0.8),
    Case("acceptance", "2h", {POSTS % "2xx": "0+90x480", POSTS % "4xx": "0+90x480", POSTS % "5xx": "0x480"}, 1),
    Case("acceptance", "2h", {POSTS % "2xx": "7x480", POSTS % "5xx": "3x480"}, None),
    Case(
        "time to the first review",
        "2h",
        {f"{FIRST}_count": "0+4x480", f'{FIRST}_bucket{{le="60.0"}}': "0+3x480"},
        0.75,
    ),
    Case("freshness", "2h", {AGE: "0x239 stale", "review_fetcher_store_readable": "1x239 0x240"}, 0.5),
    Case("freshness", "2h", {f'{AGE}{{instance="{at}"}}': "30x240 31x119 0x120" for at in (1, 2)}, 0.75),
)


def table() -> dict[str, list[str]]:
    rows = [row.strip("| ").split(" | ") for row in SECTION.splitlines() if row.startswith("| ")]
    return {cells[0]: cells for cells in rows[1:]}


def test_the_page_shows_exactly_the_queries_of_the_objectives() -> None:
    shown = table()
    assert shown.keys() == {objective.name for objective in OBJECTIVES} | {"exactly once"}
    for objective in OBJECTIVES:
        _, target, query, _ = shown[objective.name]
        assert query == f"`{objective.query}`"
        assert f"{objective.target:.1%}".replace(".0%", "%").replace("%", " %") in target


def test_every_query_of_the_section_is_one_that_a_running_prometheus_is_asked() -> None:
    """tests/flows/test_monitoring.py asks one that scrapes a service for these."""
    told = [code for code in re.findall(r"`([^`]+)`", SECTION) if re.match(r"[\d\s-]*\w+\(|review_fetcher", code)]
    queries = [code for code in told if "(" in code]
    assert queries == [*(objective.query for objective in OBJECTIVES), COULD_RUN]
    known = {recording.record for recording in RECORDINGS} | {metric.name for metric in names.ALL}
    others = [code for code in told if code not in queries]
    assert [code for code in others if code not in known and code.removesuffix("_total") not in known] == []


def test_a_query_names_only_series_that_are_recorded_or_declared() -> None:
    known = {recording.record for recording in RECORDINGS} | {metric.name for metric in names.ALL}
    for query in (COULD_RUN, *(objective.query for objective in OBJECTIVES)):
        found = {re.sub("_(?:total|bucket|count|sum)$", "", named.metric) for named in metrics_of(query)}
        assert found
        assert found <= known


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.objective}-{case.share}")
def test_a_query_gives_the_share_that_was_good(tmp_path: Path, case: Case) -> None:
    (query,) = (objective.query for objective in OBJECTIVES if objective.name == case.objective)
    expected = [] if case.share is None else [{"labels": "{}", "value": case.share}]
    test = {
        "interval": "15s",
        "input_series": [{"series": named, "values": values} for named, values in case.series.items()],
        "promql_expr_test": [{"expr": f"round({query}, 0.01)", "eval_time": case.at, "exp_samples": expected}],
    }
    file = tmp_path / "case.json"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": [test]}))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stderr + done.stdout
