"""Each alert fires when it should and keeps quiet when it should not, as Prometheus itself evaluates the rules."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from monitoring.alerts import ALERTS
from monitoring.rules import anchor
from tests.support.prometheus import RULES, promtool

POSTS = 'review_fetcher_http_requests_total{route="/api/v1/review-fetch",method="POST",status="%s"}'
CALLS = 'review_fetcher_google_calls_total{api="reviews",outcome="ok"}'
THROTTLED = 'review_fetcher_google_throttled_total{api="reviews"}'
DEAD = "review_fetcher_dead_letters_total"
DEATHS = "review_fetcher_loop_restarts_total"
COOLDOWN = "review_fetcher_cooldown_seconds"
LAG = "review_fetcher_event_loop_lag_seconds_bucket"
SWEPT = "review_fetcher_sweep_last_success_timestamp_seconds"


class Case(NamedTuple):
    """Series by their samples, one every 15 s in promtool's notation, and whether the alert fires at `at`."""

    alert: str
    fires: bool
    at: str
    series: dict[str, str]
    labels: dict[str, str] = {}  # noqa: RUF012 - of a tuple


def replica(metric: str, *, labels: str = "", number: int = 1) -> str:
    return f'{metric}{{instance="replica-{number}",job="review-fetcher"{labels}}}'


ONE = {"instance": "replica-1"}

CASES = (
    Case("Absent", True, "10m", {'up{job="review-fetcher"}': "0x100"}),
    Case("Absent", False, "10m", {replica("review_fetcher_build_info"): "1x100"}),
    Case("ReplicaDown", True, "2m", {replica("up"): "1 1 0x20"}, ONE | {"job": "review-fetcher"}),
    Case("ReplicaDown", False, "2m", {replica("up"): "1x6 0 1x20", 'up{job="another"}': "0x20"}),
    Case("AcceptanceErrors", True, "30m", {POSTS % "2xx": "0+95x200", POSTS % "5xx": "0+5x200"}),
    Case("AcceptanceErrors", True, "30m", {POSTS % "2xx": "0+95x200", POSTS % "gone": "0+5x200"}),
    Case("AcceptanceErrors", False, "30m", {POSTS % "2xx": "0+995x200", POSTS % "5xx": "0+5x200"}),
    Case("AcceptanceErrors", False, "30m", {POSTS % "2xx": "0+95x200", POSTS % "4xx": "0+500x200"}),
    Case("AcceptanceErrors", False, "30m", {POSTS % "2xx": "0+95x200", POSTS % "5xx": "0+9x40 360x160"}),
    Case("AcceptanceErrorsLasting", True, "3h", {POSTS % "2xx": "0+99x800", POSTS % "5xx": "0+1x800"}),
    Case("AcceptanceErrorsLasting", False, "3h", {POSTS % "2xx": "0+999x800", POSTS % "5xx": "0+1x800"}),
    Case("DequeFull", True, "4m", {replica("review_fetcher_deque_load_percent"): "95x40"}, ONE),
    Case("DequeFull", False, "4m", {replica("review_fetcher_deque_load_percent"): "80x8 95x4 80x40"}),
    Case("StoreUnread", True, "2m", {replica("review_fetcher_store_readable"): "1 0x20"}, ONE),
    Case("StoreUnread", False, "2m", {replica("review_fetcher_store_readable"): "1x4 0 1x20"}),
    Case(
        "NoLeader",
        True,
        "2m",
        {replica("review_fetcher_leader", labels=',role="publisher"', number=at): "0x20" for at in (1, 2)},
        {"role": "publisher"},
    ),
    Case(
        "NoLeader",
        False,
        "2m",
        {replica("review_fetcher_leader", labels=',role="publisher"', number=at): f"{at - 1}x20" for at in (1, 2)},
    ),
    Case(
        "NoLeader",
        False,
        "2m",
        {
            replica("review_fetcher_leader", labels=',role="publisher"'): "1x4 0x20",
            replica("review_fetcher_leader", labels=',role="publisher"', number=2): "0x5 1x20",
        },
    ),
    Case("PublishingStalled", True, "3m", {replica("review_fetcher_unpublished_age_seconds"): "0+15x20"}),
    Case("PublishingStalled", False, "3m", {replica("review_fetcher_unpublished_age_seconds"): "0 30 0 45 0 59x20"}),
    Case(
        "WorkStalled",
        True,
        "15m",
        {replica("review_fetcher_runnable_tasks", labels=',stage="reviews"'): "7x80", CALLS: "0+9x10 90x70"},
    ),
    Case("WorkStalled", True, "8m", {replica("review_fetcher_runnable_tasks", labels=',stage="accounts"'): "7x80"}),
    Case(
        "WorkStalled",
        False,
        "15m",
        {replica("review_fetcher_runnable_tasks", labels=',stage="reviews"'): "9000x80", CALLS: "0+9x80"},
    ),
    Case(
        "WorkStalled",
        False,
        "15m",
        {replica("review_fetcher_runnable_tasks", labels=',stage="reviews"'): "0x80", CALLS: "5x80"},
    ),
    Case(
        "LoopDies",
        True,
        "5m",
        {replica(DEATHS, labels=',loop="publisher"'): "0 1 2 3x40"},
        ONE | {"loop": "publisher"},
    ),
    Case("LoopDies", False, "5m", {replica(DEATHS, labels=',loop="publisher"'): "0 1x40"}),
    Case(
        "DeadLetters",
        True,
        "10m",
        {replica(DEAD, labels=',cause="http_500"'): "0 4 9 14x80"},
        {"cause": "http_500"},
    ),
    Case(
        "DeadLetters",
        False,
        "10m",
        {replica(DEAD, labels=',cause="http_500"'): "0 5x80"},
    ),
    Case("JobsNeedTokens", True, "6m", {replica("review_fetcher_jobs", labels=',status="needs_token"'): "2x40"}),
    Case("JobsNeedTokens", False, "6m", {replica("review_fetcher_jobs", labels=',status="needs_token"'): "2x10 0x40"}),
    Case(
        "QuotaClosed",
        True,
        "16m",
        {replica(COOLDOWN, labels=',api="reviews"'): "3600x80"},
        {"api": "reviews"},
    ),
    Case(
        "QuotaClosed",
        False,
        "16m",
        {replica(COOLDOWN, labels=',api="reviews"'): "9x30 0 8x50"},
    ),
    Case("QuotaRefused", True, "25m", {CALLS: "0+80x120", THROTTLED: "0+20x120"}, {"api": "reviews"}),
    Case("QuotaRefused", False, "25m", {CALLS: "0+95x120", THROTTLED: "0+5x120"}),
    Case(
        "DayQuotaSpent",
        True,
        "6m",
        {replica("review_fetcher_quota_left", labels=',api="reviews",window="day"'): "0x40"},
        {"api": "reviews"},
    ),
    Case(
        "DayQuotaSpent",
        False,
        "6m",
        {
            replica("review_fetcher_quota_left", labels=',api="reviews",window="day"'): "5x40",
            replica("review_fetcher_quota_left", labels=',api="reviews",window="minute"'): "0x40",
        },
    ),
    Case(
        "SweepsFail",
        True,
        "22m",
        {replica(SWEPT, labels=',sweep="erasing"', number=at): f"{10 * at}x100" for at in (1, 2)},
        {"sweep": "erasing"},
    ),
    Case(
        "SweepsFail",
        False,
        "22m",
        {
            replica(SWEPT, labels=',sweep="erasing"'): "10x100",
            replica(SWEPT, labels=',sweep="erasing"', number=2): "0+15x100",
        },
    ),
    Case(
        "StoreCrowded",
        True,
        "12m",
        {replica("review_fetcher_pool_waiting", labels=',pool="store_connections"'): "3x60"},
        ONE,
    ),
    Case(
        "StoreCrowded",
        False,
        "12m",
        {
            replica("review_fetcher_pool_waiting", labels=',pool="store_connections"'): "3x10 0 3x10 0 3x10 0 3x40",
            replica("review_fetcher_pool_waiting", labels=',pool="worker_reviews"'): "50x60",
        },
    ),
    Case(
        "EventLoopSlow",
        True,
        "17m",
        {replica(LAG, labels=f',le="{le}"'): f"0+{number}x80" for le, number in (("0.5", 5), ("1", 15), ("+Inf", 15))},
        ONE,
    ),
    Case(
        "EventLoopSlow",
        False,
        "17m",
        {replica(LAG, labels=f',le="{le}"'): f"0+{number}x80" for le, number in (("0.5", 14), ("1", 15), ("+Inf", 15))},
    ),
    Case("WebhooksFail", True, "10m", {replica("review_fetcher_webhooks_total", labels=',status="failed"'): "0 1x60"}),
    Case(
        "WebhooksFail",
        False,
        "10m",
        {replica("review_fetcher_webhooks_total", labels=',status="delivered"'): "0 1x60"},
    ),
)

SAYS = {
    "Absent": "No replica is being scraped.",
    "ReplicaDown": "The replica replica-1 does not answer.",
    "AcceptanceErrors": "5% of submissions fail: a month's budget of errors lasts two days so.",
    "AcceptanceErrorsLasting": "1% of submissions have failed for hours.",
    "DequeFull": "The buffer between POST and the store is 95 % full on replica-1.",
    "StoreUnread": "replica-1 cannot read the store.",
    "NoLeader": "No process leads as publisher.",
    "PublishingStalled": "The first review that is not in reviews-raw has waited for 3m 0s.",
    "WorkStalled": "Google is not being called, and could be for 7 tasks.",
    "LoopDies": "The loop publisher of replica-1 keeps dying.",
    "DeadLetters": "14 dead letters in half an hour: http_500.",
    "JobsNeedTokens": "2 jobs wait for a new access token, and fail when none comes.",
    "QuotaClosed": "Google has kept the API reviews closed for a quarter of an hour.",
    "QuotaRefused": "Google refuses 25% of the calls to reviews: are the limits too high?",
    "DayQuotaSpent": "The day's calls to reviews are spent.",
    "SweepsFail": "The sweep erasing has not gone through for 21m 40s.",
    "StoreCrowded": "Work on replica-1 has waited for a connection of the database at every look.",
    "EventLoopSlow": "The event loop of replica-1 is late by 925ms one time in ten.",
    "WebhooksFail": "Messages to callbacks that were given up within an hour: 1.",
}
"""What a person reads."""


def test_every_alert_is_seen_firing_and_seen_quiet() -> None:
    names = [alert.name for alert in ALERTS]
    for fires in (True, False):
        assert sorted({f"ReviewFetcher{case.alert}" for case in CASES if case.fires is fires}) == sorted(names)


@pytest.mark.parametrize("fires", [True, False], ids=["fire", "quiet"])
def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path, *, fires: bool) -> None:
    """In one run of promtool, which tells the alert and the time of what it did not expect."""
    file = tmp_path / "cases.json"
    tests = [in_promtools_words(case) for case in CASES if case.fires is fires]
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "15s", "tests": tests}))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stderr + done.stdout


def in_promtools_words(case: Case) -> dict[str, Any]:
    alert = next(alert for alert in ALERTS if alert.name == f"ReviewFetcher{case.alert}")
    annotations = {"summary": SAYS[case.alert], "runbook_url": f"docs/alerts.md#{anchor(alert)}"}
    fired = {"exp_labels": case.labels | {"severity": alert.severity}, "exp_annotations": annotations}
    check = {"alertname": alert.name, "eval_time": case.at, "exp_alerts": [fired] if case.fires else []}
    series = [{"series": named, "values": values} for named, values in case.series.items()]
    return {"interval": "15s", "input_series": series, "alert_rule_test": [check]}
