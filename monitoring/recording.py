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

WINDOWS = ("5m", "30m", "1h", "6h", "3d")


def _errors(window: str) -> Recording:
    """The share of POSTs that were answered 5xx, or not at all; nothing while nobody posts."""
    requests = "review_fetcher_http_requests_total"
    failed = f"sum(rate({FAILED_SUBMITS}[{window}])) or vector(0)"
    return Recording(
        f"review_fetcher:acceptance_errors:ratio_rate{window}",
        f"({failed}) / (sum(rate({requests}{{{SUBMIT}}}[{window}])) > 0)",
    )


RECORDINGS = (
    *(_errors(window) for window in WINDOWS),
    Recording("review_fetcher:google_calls:rate5m", "sum by (api) (rate(review_fetcher_google_calls_total[5m]))"),
    Recording(
        "review_fetcher:google_throttled:ratio_rate5m",
        "sum by (api) (rate(review_fetcher_google_throttled_total[5m]))"
        " / (sum by (api) (rate(review_fetcher_google_calls_total[5m])) > 0)",
    ),
    Recording("review_fetcher:runnable_tasks:max", "max by (stage) (review_fetcher_runnable_tasks)"),
)
