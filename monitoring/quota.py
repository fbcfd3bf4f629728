"""The third page: what is spent of Google's quota, and what Google says."""

from monitoring.panels import Dashboard, Panel, Query, Row

_RATE = "[$__rate_interval]"
_WINDOWS = (("minute", "the minute"), ("bucket", "the bucket"), ("day", "the day"))

QUOTA = Dashboard(
    "review-fetcher-quota",
    "Review Fetcher / Quota and Google",
    "Budgets by API, of the Google project that has least left; calls and what they came to.",
    (
        Row(
            "Budgets",
            (
                *(
                    Panel(
                        f"Used of {words}",
                        f"Calls made or lent to a replica, and how many {words} allows; empty while it is not limited.",
                        (
                            Query(f'max by (api) (review_fetcher_quota_used{{window="{window}"}})', "{{api}} used"),
                            Query(f'max by (api) (review_fetcher_quota_limit{{window="{window}"}})', "{{api}} limit"),
                        ),
                    )
                    for window, words in _WINDOWS
                ),
                Panel(
                    "Calls left",
                    "What can be called at once, of the window that has least.",
                    (Query("min by (api) (review_fetcher_quota_left)", "{{api}}"),),
                ),
                Panel(
                    "Closed by Google",
                    "How long a 429 still closes the API.",
                    (Query("max by (api) (review_fetcher_cooldown_seconds)", "{{api}}"),),
                    "s",
                ),
                Panel(
                    "Refused for quota",
                    "Share of the calls that Google refused because a quota was spent.",
                    (Query("review_fetcher:google_throttled:ratio_rate5m", "{{api}}"),),
                    "percentunit",
                ),
            ),
        ),
        Row(
            "Google",
            (
                Panel(
                    "Calls",
                    "Calls a second by API.",
                    (Query("review_fetcher:google_calls:rate5m", "{{api}}"),),
                    "reqps",
                ),
                Panel(
                    "What calls came to",
                    "Calls a second that were not answered by a page, by Google's reason.",
                    (
                        Query(
                            f'sum by (api, outcome) (rate(review_fetcher_google_calls_total{{outcome!="ok"}}{_RATE}))',
                            "{{api}} {{outcome}}",
                        ),
                    ),
                    "reqps",
                ),
                Panel(
                    "Duration",
                    "From sending a call to its answer, 95 %.",
                    (
                        Query(
                            "histogram_quantile(0.95, sum by (api, le)"
                            f" (rate(review_fetcher_google_call_seconds_bucket{_RATE})))",
                            "{{api}}",
                        ),
                    ),
                    "s",
                ),
            ),
        ),
    ),
)
