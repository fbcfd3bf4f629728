"""What alerts and dashboards share, computed once by Prometheus. Names say level:metric:operation."""

from typing import NamedTuple


class Recording(NamedTuple):
    """A series that Prometheus computes at each evaluation."""

    record: str
    expression: str


SUBMIT = 'route="/api/v1/review-fetch",method="POST"'

FAILED_SUBMITS = f'review_fetcher_http_requests_total{{{SUBMIT},status=~"5xx|gone"}}'

OBJECTIVE = 0.999
"""Of the POSTs that submit a job, so many are not answered by an error of ours, over 30 days."""

FIRST_REVIEWS = "review_fetcher_first_review_seconds_count"

FIRST_REVIEWS_IN_TIME = 'review_fetcher_first_review_seconds_bucket{le="60.0"}'

SUBMISSIONS = "review_fetcher:submissions:rate5m"

FAILED_SUBMISSIONS = "review_fetcher:failed_submissions:rate5m"

PUBLISHED_IN_TIME = "review_fetcher:published_in_time:bool"

WINDOWS = ("5m", "30m", "1h", "6h", "3d")


def _submitted(window: str) -> str:
    """POSTs a second, however they were answered."""
    return f"sum(rate(review_fetcher_http_requests_total{{{SUBMIT}}}[{window}]))"


def _failed(window: str) -> str:
    """Those that were answered 5xx, or not at all."""
    return f"sum(rate({FAILED_SUBMITS}[{window}])) or vector(0)"


def _errors(window: str) -> Recording:
    """The share of POSTs that failed; nothing while nobody posts."""
    return Recording(
        f"review_fetcher:acceptance_errors:ratio_rate{window}",
        f"({_failed(window)}) / ({_submitted(window)} > 0)",
    )


RECORDINGS = (
    *(_errors(window) for window in WINDOWS),
    # What the objectives of 30 days are asked of: one series each, where those of all replicas would have to be read.
    Recording(SUBMISSIONS, _submitted("5m")),
    Recording(FAILED_SUBMISSIONS, _failed("5m")),
    Recording(
        PUBLISHED_IN_TIME,
        "(max(review_fetcher_unpublished_age_seconds) <= bool 30) or (max(review_fetcher_store_readable) < 1)",
    ),
    Recording("review_fetcher:google_calls:rate5m", "sum by (api) (rate(review_fetcher_google_calls_total[5m]))"),
    Recording(
        "review_fetcher:google_throttled:ratio_rate5m",
        "sum by (api) (rate(review_fetcher_google_throttled_total[5m]))"
        " / (sum by (api) (rate(review_fetcher_google_calls_total[5m])) > 0)",
    ),
    Recording("review_fetcher:runnable_tasks:max", "max by (stage) (review_fetcher_runnable_tasks)"),
)
