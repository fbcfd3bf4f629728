"""The first page: are the objectives kept, and how do requests fare?"""

from monitoring.panels import Dashboard, Panel, Query, Row
from monitoring.recording import SUBMIT

_RATE = "[$__rate_interval]"
_NO_STREAMS = 'route!="/api/v1/review-fetch/{job_id}/events"'

OVERVIEW = Dashboard(
    "review-fetcher-overview",
    "Review Fetcher / Overview",
    "Objectives, jobs and HTTP, over all replicas. Numbers of the store are the same on each: they are taken by max.",
    (
        Row(
            "Objectives",
            (
                Panel(
                    "Submissions that fail",
                    "Share of POSTs that ended with a 5xx or without an answer, over an hour. Objective: under 0.1 %.",
                    (Query("review_fetcher:acceptance_errors:ratio_rate1h"),),
                    "percentunit",
                    "stat",
                    6,
                    bounds=(0.001, 0.0144),
                ),
                Panel(
                    "Time to the first review, 95 %",
                    "From the 202 of a job to its first stored review, of the jobs of the last hour.",
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (le)"
                            " (rate(review_fetcher_first_review_seconds_bucket[1h])))"
                        ),
                    ),
                    "s",
                    "stat",
                    6,
                    bounds=(60, 300),
                ),
                Panel(
                    "Oldest unpublished review",
                    "How long the first stored review that is not in reviews-raw has waited. Objective: under 30 s.",
                    (Query("max(review_fetcher_unpublished_age_seconds)"),),
                    "s",
                    "stat",
                    6,
                    bounds=(30, 60),
                ),
                Panel(
                    "Replicas",
                    "Processes that are being scraped.",
                    (Query("count(review_fetcher_build_info)"),),
                    "short",
                    "stat",
                    6,
                ),
            ),
        ),
        Row(
            "HTTP",
            (
                Panel(
                    "Requests",
                    "Requests a second by route.",
                    (Query(f"sum by (route) (rate(review_fetcher_http_requests_total{_RATE}))", "{{route}}"),),
                    "reqps",
                    stacked=True,
                ),
                Panel(
                    "Errors",
                    "Requests a second that ended with a 4xx or 5xx, or whose client left before an answer.",
                    (
                        Query(
                            "sum by (status, method) (rate(review_fetcher_http_requests_total"
                            f'{{status=~"4xx|5xx|gone"}}{_RATE}))',
                            "{{method}} {{status}}",
                        ),
                    ),
                    "reqps",
                ),
                Panel(
                    "Duration",
                    "How long requests took, streams of events left out.",
                    tuple(
                        Query(
                            f"histogram_quantile({share}, sum by (le)"
                            f" (rate(review_fetcher_http_request_seconds_bucket{{{_NO_STREAMS}}}{_RATE})))",
                            f"{100 * share:g} %",
                        )
                        for share in (0.5, 0.95, 0.99)
                    ),
                    "s",
                ),
                Panel(
                    "Submissions",
                    "POSTs that submit jobs, by what was answered.",
                    (
                        Query(
                            f"sum by (status) (rate(review_fetcher_http_requests_total{{{SUBMIT}}}{_RATE}))",
                            "{{status}}",
                        ),
                    ),
                    "reqps",
                ),
                Panel(
                    "In flight",
                    "Requests whose answer has not ended, streams of events too.",
                    (Query("sum(review_fetcher_http_requests_in_flight)", "requests"),),
                ),
                Panel(
                    "Not let in",
                    "Requests a second without a key, with a wrong one, or refused unread.",
                    (
                        Query(
                            f"sum by (reason) (rate(review_fetcher_failed_authentications_total{_RATE}))", "{{reason}}"
                        ),
                    ),
                    "reqps",
                ),
            ),
        ),
        Row(
            "Jobs",
            (
                Panel(
                    "Jobs by state",
                    "Jobs in the store that have not ended; of a state no more than 10,000 are counted.",
                    (
                        Query(
                            'max by (status) (review_fetcher_jobs{status=~"pending|processing|paused|needs_token"})',
                            "{{status}}",
                        ),
                    ),
                ),
                Panel(
                    "Jobs that ended",
                    "Jobs that ended by themselves, a minute.",
                    (Query(f"60 * sum by (status) (rate(review_fetcher_job_seconds_count{_RATE}))", "{{status}}"),),
                ),
                Panel(
                    "Time to completion",
                    "From the 202 of a job to its end.",
                    tuple(
                        Query(
                            f"histogram_quantile({share}, sum by (le)"
                            ' (rate(review_fetcher_job_seconds_bucket{status="completed"}[1h])))',
                            f"{100 * share:g} %",
                        )
                        for share in (0.5, 0.95)
                    ),
                    "s",
                ),
            ),
        ),
    ),
)
