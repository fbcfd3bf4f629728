"""Each alert fires when it should and keeps quiet when it should not, as Prometheus itself evaluates the rules."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from monitoring.alerts import ALERTS
from monitoring.promql import scoped
from monitoring.rules import anchor, rules_file
from tests.support.prometheus import RULES, promtool

POSTS = 'review_fetcher_http_requests_total{route="/api/v1/review-fetch",method="POST",status="%s"}'
CALLS = 'review_fetcher_google_calls_total{api="reviews",outcome="ok"}'
THROTTLED = 'review_fetcher_google_throttled_total{api="reviews"}'
DEAD = "review_fetcher_dead_letters_total"
DEATHS = "review_fetcher_loop_restarts_total"
COOLDOWN = "review_fetcher_cooldown_seconds"
LAG, LOOKS = "review_fetcher_event_loop_lag_seconds_sum", "review_fetcher_event_loop_lag_seconds_count"
FIRST = "review_fetcher_first_review_seconds"
SWEPT = "review_fetcher_sweep_last_success_timestamp_seconds"


class Case(NamedTuple):
    """Series by their samples, one every 15 s in promtool's notation, and whether the alert fires at `at`."""

    alert: str
    fires: bool
    at: str
    series: dict[str, str]
    labels: dict[str, str] = {}  # noqa: RUF012 - of a tuple
    says: str = ""


def replica(metric: str, *, labels: str = "", number: int = 1) -> str:
    return f'{metric}{{instance="replica-{number}",job="review-fetcher"{labels}}}'


def work(stage: str, runnable: str, released: str = "0x80") -> dict[str, str]:
    return {
        replica("review_fetcher_runnable_tasks", labels=f',stage="{stage}"'): runnable,
        replica("review_fetcher_tasks", labels=f',stage="{stage}",status="released"'): released,
    }


def first_reviews(jobs: str, in_time: str) -> dict[str, str]:
    return {replica(f"{FIRST}_count"): jobs, replica(f"{FIRST}_bucket", labels=',le="60.0"'): in_time}


ONE = {"instance": "replica-1"}

CASES = (
    Case("Absent", True, "10m", {'up{job="review-fetcher"}': "0x100"}),
    Case("Absent", False, "10m", {replica("review_fetcher_build_info"): "1x100"}),
    Case("ReplicaDown", True, "2m", {replica("up"): "1 1 0x20"}, ONE | {"job": "review-fetcher"}),
    Case("ReplicaDown", False, "2m", {replica("up"): "1x6 0 1x20", 'up{job="another"}': "0x20"}),
    Case(
        "ReplicaDown",
        True,
        "2m",
        {
            'up{instance="replica-1",job="walk"}': "1 1 0x20",
            'review_fetcher_build_info{instance="replica-1",job="walk"}': "1 1 _x20",
        },
        ONE | {"job": "walk"},
    ),
    Case("AcceptanceErrors", True, "30m", {POSTS % "2xx": "0+95x200", POSTS % "5xx": "0+5x200"}),
    Case(
        "AcceptanceErrors",
        True,
        "5m",
        {POSTS % "2xx": "9x200", POSTS % "5xx": "0 1 2 3 4 5x200"},
        says="100% of submissions fail: a month's budget of errors lasts two days so.",
    ),
    Case("AcceptanceErrors", False, "8m", {POSTS % "2xx": "0x20 1 2x200", POSTS % "5xx": "0x20 1 2 3x200"}),
    Case("AcceptanceErrors", True, "30m", {POSTS % "2xx": "0+95x200", POSTS % "gone": "0+5x200"}),
    Case("AcceptanceErrors", False, "30m", {POSTS % "2xx": "0+995x200", POSTS % "5xx": "0+5x200"}),
    Case("AcceptanceErrors", False, "30m", {POSTS % "2xx": "0+95x200", POSTS % "4xx": "0+500x200"}),
    Case("AcceptanceErrors", False, "30m", {POSTS % "2xx": "0+95x200", POSTS % "5xx": "0+9x40 360x160"}),
    Case("AcceptanceErrorsLasting", True, "45m", {POSTS % "2xx": "0+99x800", POSTS % "5xx": "0+1x800"}),
    Case("AcceptanceErrorsLasting", False, "45m", {POSTS % "2xx": "0+999x800", POSTS % "5xx": "0+1x800"}),
    Case("AcceptanceErrorsSlow", True, "90m", {POSTS % "2xx": "0+998x400", POSTS % "5xx": "0+2x400"}),
    Case("AcceptanceErrorsSlow", False, "90m", {POSTS % "2xx": "0+1999x400", POSTS % "5xx": "0+1x400"}),
    Case("AcceptanceErrorsSlow", False, "90m", {POSTS % "2xx": "0x99 9x300", POSTS % "5xx": "0x99 3x300"}),
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
    Case("PublishingSlow", True, "7m", {replica("review_fetcher_unpublished_age_seconds"): "45x40"}),
    Case("PublishingSlow", False, "7m", {replica("review_fetcher_unpublished_age_seconds"): "45x15 9 45x40"}),
    Case("WorkStalled", True, "15m", work("reviews", "7x80") | {CALLS: "0+9x10 90x70"}, {"stage": "reviews"}),
    Case(
        "WorkStalled",
        True,
        "8m",
        work("accounts", "0x80", "5x80") | work("reviews", "9000x80") | {CALLS: "0+9x80"},
        {"stage": "accounts"},
        "Google is not being called for accounts, and could be for 5 tasks.",
    ),
    Case("WorkStalled", False, "15m", work("reviews", "9000x80", "64x80") | {CALLS: "0+9x80"}),
    Case("WorkStalled", False, "15m", work("reviews", "0x80") | {CALLS: "5x80"}),
    Case("WorkStalled", False, "15m", work("reviews", "0x80", "5x14 0 5x14 0 5x14 0 5x80") | {CALLS: "5x80"}),
    Case("FirstReviewsLate", True, "12m", first_reviews("0+2x80", "0+1x80")),
    Case("FirstReviewsLate", False, "12m", first_reviews("0+50x80", "0+49x80")),
    Case("FirstReviewsLate", False, "12m", first_reviews("0 1 2 3x80", "0x80")),
    Case(
        "FirstReviewsLate",
        False,
        "25m",
        first_reviews("0+2x120", "0+1x120")
        | {replica("review_fetcher_quota_left", labels=',api="reviews",window="minute"'): "300x20 0x16 300x80"},
    ),
    Case(
        "FirstReviewsLate",
        False,
        "25m",
        first_reviews("0+2x120", "0+1x120") | {replica(COOLDOWN, labels=',api="reviews"'): "0x20 240-15x16 0x80"},
    ),
    Case(
        "FirstReviewsLate",
        True,
        "25m",
        first_reviews("0+2x120", "0+1x120")
        | {
            replica("review_fetcher_quota_left", labels=',api="reviews",window="minute"'): "300x20 0x2 300x99",
            replica(COOLDOWN, labels=',api="reviews"'): "0x120",
        },
    ),
    Case(
        "LoopDies",
        True,
        "5m",
        {replica(DEATHS, labels=',loop="publisher"'): "0 1 2 3x40"},
        ONE | {"loop": "publisher"},
    ),
    Case("LoopDies", False, "5m", {replica(DEATHS, labels=',loop="publisher"'): "0 1x40"}),
    Case("LoopDies", False, "5m", {replica(DEATHS, labels=',loop="publisher"'): "5 6 7x40"}),
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
        {replica(DEAD, labels=',cause="http_500"'): "0 10x80"},
    ),
    Case("DeadLetters", True, "10m", {replica(DEAD, labels=',cause="http_500"'): "_ 14x80"}, {"cause": "http_500"}),
    Case(
        "DeadLetters",
        True,
        "50m",
        {replica(DEAD, labels=',cause="http_500"'): "9x120 0+1x14 14x80"},
        {"cause": "http_500"},
    ),
    Case("DeadLetters", False, "60m", {replica(DEAD, labels=',cause="http_500"'): "_ 14x300"}),
    Case("DeadLetters", False, "60m", {replica(DEAD, labels=',cause="http_500"'): "14x100 _x40 14x300"}),
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
        "QuotaRefused",
        False,
        "25m",
        {
            replica("review_fetcher_google_calls_total", labels=',api="tokeninfo"'): "0+1x120",
            replica("review_fetcher_google_throttled_total", labels=',api="tokeninfo"'): "0+1x120",
        },
    ),
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
        {
            replica("review_fetcher_pool_waiting", labels=',pool="store_connections"'): "0x60",
            replica("review_fetcher_pool_waiting", labels=',pool="store_lanes"'): "3x60",
        },
        ONE | {"pool": "store_lanes"},
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
        {
            replica(LAG): "0 20 20 40 40 60 60 80 80 100 100 120 120 140 140 160 160 180 180 200 200+10x60",
            replica(LOOKS): "0 10 10 20 20 30 30 40 40 50 50 60 60 70 70 80 80 90 90 100 100+5x60",
        },
        ONE,
    ),
    Case(
        "EventLoopSlow",
        False,
        "17m",
        {replica(LAG): "0+1x80", replica(LOOKS): "0+14x80"},
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
    "AcceptanceErrorsSlow": "0.2% of submissions have failed in three days: the objective is missed so.",
    "DequeFull": "The buffer between POST and the store is 95 % full on replica-1.",
    "StoreUnread": "replica-1 cannot read the store.",
    "NoLeader": "No process leads as publisher.",
    "PublishingStalled": "The first review that is not in reviews-raw has waited for 3m 0s.",
    "PublishingSlow": "For five minutes a review that is not in reviews-raw has waited for more than 30 s; now the "
    "first has for 45s.",
    "WorkStalled": "Google is not being called for reviews, and could be for 7 tasks.",
    "FirstReviewsLate": "50% of the jobs of the last hour waited for their first review for more than a minute, and "
    "there was quota.",
    "LoopDies": "The loop publisher of replica-1 keeps dying.",
    "DeadLetters": "14 dead letters in half an hour: http_500.",
    "JobsNeedTokens": "2 jobs wait for a new access token, and fail when none comes.",
    "QuotaClosed": "Google has kept the API reviews closed for a quarter of an hour.",
    "QuotaRefused": "Google refuses 25% of the calls to reviews: are the limits too high?",
    "DayQuotaSpent": "The day's calls to reviews are spent.",
    "SweepsFail": "The sweep erasing has not gone through for 21m 40s.",
    "StoreCrowded": "Work on replica-1 has waited for a place in store_lanes at every look.",
    "EventLoopSlow": "The event loop of replica-1 woke 2s late at each look.",
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


def test_alerts_on_recorded_series_fire_for_the_release_that_the_rules_are_of(tmp_path: Path) -> None:
    """What is recorded has the release's labels then, and a sum has none: both must find each other."""
    scope = {"namespace": "here", "service": "metrics"}
    rules = tmp_path / "rules.yml"
    rules.write_text(rules_file(scope=scope))
    recorded = {alert.name for alert in ALERTS if "review_fetcher:" in alert.expression}
    tests = [in_promtools_words(case) for case in CASES if case.fires and f"ReviewFetcher{case.alert}" in recorded]
    assert len(tests) >= len(recorded) >= 5
    for test in tests:
        for series in test["input_series"]:
            series["series"] = scoped(series["series"], scope)
        test["alert_rule_test"][0]["exp_alerts"][0]["exp_labels"] |= scope
    file = tmp_path / "cases.json"
    file.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "15s", "tests": tests}))
    done = promtool("test", "rules", str(file))
    assert done.returncode == 0, done.stderr + done.stdout


def in_promtools_words(case: Case) -> dict[str, Any]:
    alert = next(alert for alert in ALERTS if alert.name == f"ReviewFetcher{case.alert}")
    annotations = {"summary": case.says or SAYS[case.alert], "runbook_url": f"docs/alerts.md#{anchor(alert)}"}
    fired = {"exp_labels": case.labels | {"severity": alert.severity}, "exp_annotations": annotations}
    check = {"alertname": alert.name, "eval_time": case.at, "exp_alerts": [fired] if case.fires else []}
    series = [{"series": named, "values": values} for named, values in case.series.items()]
    return {"interval": "15s", "input_series": series, "alert_rule_test": [check]}
