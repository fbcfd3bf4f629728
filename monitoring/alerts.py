"""What wakes somebody (page) or is looked at the same day (ticket). Each has a section in docs/alerts.md.

Numbers of the store are the same on every replica: they are taken by max, never by sum.
"""

from typing import Literal, NamedTuple

from monitoring.recording import FAILED_SUBMITS, FIRST_REVIEWS, FIRST_REVIEWS_IN_TIME, OBJECTIVE

Severity = Literal["page", "ticket"]


class Alert(NamedTuple):
    """`wait`: for how long the expression must hold. `promise`: within what time of the cause it fires, at scrapes and
    evaluations 15 s apart."""

    name: str
    expression: str
    wait: str
    severity: Severity
    summary: str
    promise: str


def _burn(rate: float, long: str, short: str) -> str:
    """The budget of errors is being spent `rate` times too fast, for long and still now, by more than a stray error:
    where few submit, one of them is a large share."""
    most = round(rate * (1 - OBJECTIVE), 6)
    series = "review_fetcher:acceptance_errors:ratio_rate"
    several = f"round(sum(increase({FAILED_SUBMITS}[{long}]))) > 3"
    return f"{series}{long} > {most:g} and {series}{short} > {most:g} and on () {several}"


def _grown(counter: str, window: str) -> str:
    """By how much a counter grew whose labels are not known before their first event: such a series is born with the
    whole of its first burst, of which increase() sees nothing. One that was away for up to an hour is not born."""
    return f"({counter} unless last_over_time({counter}[1h] offset {window})) or increase({counter}[{window}])"


_QUOTA_WAS_SPENT = (
    "max(avg_over_time((review_fetcher_quota_left < bool 1)[1h:1m])) > 0.05"
    " or max(avg_over_time((review_fetcher_cooldown_seconds > bool 0)[1h:1m])) > 0.05"
)
"""For more than three minutes of the last hour."""


ALERTS = (
    Alert(
        "ReviewFetcherAbsent",
        "absent(review_fetcher_build_info)",
        "2m",
        "page",
        "No replica is being scraped.",
        "8 minutes",
    ),
    Alert(
        "ReviewFetcherReplicaDown",
        "up == 0 and on (job, instance) last_over_time(review_fetcher_build_info[1h])"
        ' or up{job=~".*review-fetcher.*"} == 0',
        "1m",
        "ticket",
        "The replica {{ $labels.instance }} does not answer.",
        "2 minutes",
    ),
    Alert(
        "ReviewFetcherAcceptanceErrors",
        _burn(14.4, "1h", "5m"),
        "2m",
        "page",
        "{{ $value | humanizePercentage }} of submissions fail: a month's budget of errors lasts two days so.",
        "5 minutes of failing altogether",
    ),
    Alert(
        "ReviewFetcherAcceptanceErrorsLasting",
        _burn(6, "6h", "30m"),
        "15m",
        "ticket",
        "{{ $value | humanizePercentage }} of submissions have failed for hours.",
        "20 minutes of failing altogether",
    ),
    Alert(
        "ReviewFetcherAcceptanceErrorsSlow",
        _burn(1, "3d", "6h"),
        "1h",
        "ticket",
        "{{ $value | humanizePercentage }} of submissions have failed in three days: the objective is missed so.",
        "70 minutes of failing altogether",
    ),
    Alert(
        "ReviewFetcherDequeFull",
        "max by (instance) (review_fetcher_deque_load_percent) > 90",
        "2m",
        "page",
        "The buffer between POST and the store is {{ $value | humanize }} % full on {{ $labels.instance }}.",
        "3 minutes",
    ),
    Alert(
        "ReviewFetcherStoreUnread",
        "min by (instance) (review_fetcher_store_readable) == 0",
        "1m",
        "page",
        "{{ $labels.instance }} cannot read the store.",
        "2 minutes",
    ),
    Alert(
        "ReviewFetcherNoLeader",
        "max by (role) (review_fetcher_leader) == 0",
        "30s",
        "page",
        "No process leads as {{ $labels.role }}.",
        "2 minutes",
    ),
    Alert(
        "ReviewFetcherPublishingStalled",
        "max(review_fetcher_unpublished_age_seconds) > 60",
        "30s",
        "page",
        "The first review that is not in reviews-raw has waited for {{ $value | humanizeDuration }}.",
        "3 minutes",
    ),
    Alert(
        "ReviewFetcherPublishingSlow",
        "max(review_fetcher_unpublished_age_seconds) > 30",
        "5m",
        "ticket",
        "For five minutes a review that is not in reviews-raw has waited for more than 30 s; now the first has for "
        "{{ $value | humanizeDuration }}.",
        "7 minutes",
    ),
    Alert(
        "ReviewFetcherWorkStalled",
        "(max by (stage) (review_fetcher:runnable_tasks:max)"
        ' + max by (stage) (review_fetcher_tasks{status="released"})) > 0'
        " unless on (stage)"
        ' (label_replace(review_fetcher:google_calls:rate5m, "stage", "$1", "api", "(.+)") > 0)',
        "5m",
        "page",
        "Google is not being called for {{ $labels.stage }}, and could be for {{ $value | humanize }} tasks.",
        "12 minutes",
    ),
    Alert(
        "ReviewFetcherFirstReviewsLate",
        f"1 - sum(rate({FIRST_REVIEWS_IN_TIME}[1h])) / (sum(rate({FIRST_REVIEWS}[1h])) > 0) > 0.05"
        f" and round(sum(increase({FIRST_REVIEWS}[1h])) - sum(increase({FIRST_REVIEWS_IN_TIME}[1h]))) > 3"
        f" unless ({_QUOTA_WAS_SPENT})",
        "5m",
        "ticket",
        "{{ $value | humanizePercentage }} of the jobs of the last hour waited for their first review for more than a "
        "minute, and there was quota.",
        "7 minutes of the fourth late job",
    ),
    Alert(
        "ReviewFetcherLoopDies",
        "sum by (instance, loop) (increase(review_fetcher_loop_restarts_total[10m])) > 2.5",
        "0s",
        "page",
        "The loop {{ $labels.loop }} of {{ $labels.instance }} keeps dying.",
        "2 minutes of the third death",
    ),
    Alert(
        "ReviewFetcherDeadLetters",
        f"round(sum by (cause) ({_grown('review_fetcher_dead_letters_total', '30m')})) > 10",
        "0s",
        "ticket",
        "{{ $value | humanize }} dead letters in half an hour: {{ $labels.cause }}.",
        "2 minutes of the eleventh",
    ),
    Alert(
        "ReviewFetcherJobsNeedTokens",
        'max(review_fetcher_jobs{status="needs_token"}) > 0',
        "5m",
        "ticket",
        "{{ $value | humanize }} jobs wait for a new access token, and fail when none comes.",
        "6 minutes",
    ),
    Alert(
        "ReviewFetcherQuotaClosed",
        "max by (api) (review_fetcher_cooldown_seconds) > 0",
        "15m",
        "ticket",
        "Google has kept the API {{ $labels.api }} closed for a quarter of an hour.",
        "16 minutes",
    ),
    Alert(
        "ReviewFetcherQuotaRefused",
        'review_fetcher:google_throttled:ratio_rate5m{api=~"accounts|locations|reviews"} > 0.1',
        "15m",
        "ticket",
        "Google refuses {{ $value | humanizePercentage }} of the calls to {{ $labels.api }}: are the limits too high?",
        "20 minutes",
    ),
    Alert(
        "ReviewFetcherDayQuotaSpent",
        'max by (api) (review_fetcher_quota_left{window="day"}) <= 0',
        "5m",
        "ticket",
        "The day's calls to {{ $labels.api }} are spent.",
        "6 minutes",
    ),
    Alert(
        "ReviewFetcherSweepsFail",
        "time() - max by (sweep) (review_fetcher_sweep_last_success_timestamp_seconds) > 900",
        "5m",
        "ticket",
        "The sweep {{ $labels.sweep }} has not gone through for {{ $value | humanizeDuration }}.",
        "21 minutes",
    ),
    Alert(
        "ReviewFetcherStoreCrowded",
        'min by (instance, pool) (min_over_time(review_fetcher_pool_waiting{pool=~"store_.*"}[5m])) > 0',
        "5m",
        "ticket",
        "Work on {{ $labels.instance }} has waited for a place in {{ $labels.pool }} at every look.",
        "11 minutes",
    ),
    Alert(
        "ReviewFetcherEventLoopSlow",
        "sum by (instance) (rate(review_fetcher_event_loop_lag_seconds_sum[5m])) "
        "/ sum by (instance) (rate(review_fetcher_event_loop_lag_seconds_count[5m])) > 0.1",
        "10m",
        "ticket",
        "The event loop of {{ $labels.instance }} woke {{ $value | humanizeDuration }} late at each look.",
        "16 minutes",
    ),
    Alert(
        "ReviewFetcherWebhooksFail",
        'round(sum(increase(review_fetcher_webhooks_total{status="failed"}[1h]))) > 0',
        "0s",
        "ticket",
        "Messages to callbacks that were given up within an hour: {{ $value | humanize }}.",
        "2 minutes",
    ),
)
