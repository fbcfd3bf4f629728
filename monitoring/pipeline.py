"""The second page: is the work moving, and does it come out?"""

from monitoring.panels import Dashboard, Panel, Query, Row

_RATE = "[$__rate_interval]"

PIPELINE = Dashboard(
    "review-fetcher-pipeline",
    "Review Fetcher / Pipeline",
    "Work by stage, what is stored, what is given up, and the way to reviews-raw.",
    (
        Row(
            "Work",
            (
                Panel(
                    "Runnable tasks",
                    "Tasks that could run now: due, of jobs that run, with quota left, no token on its way. Workers "
                    "are scaled by this.",
                    (Query("review_fetcher:runnable_tasks:max", "{{stage}}"),),
                ),
                Panel(
                    "Oldest runnable task",
                    "For how long the first of these, or of those that are released and not taken, has been due. Grows "
                    "while workers are too few; what waits for quota is not among them.",
                    (Query("max by (stage) (review_fetcher_oldest_runnable_task_seconds)", "{{stage}}"),),
                    "s",
                ),
                Panel(
                    "Tasks",
                    "Tasks by stage and state; those that wait or are dead are counted up to 10,000.",
                    (Query("max by (stage, status) (review_fetcher_tasks)", "{{stage}} {{status}}"),),
                ),
            ),
        ),
        Row(
            "Pages",
            (
                Panel(
                    "Reviews stored",
                    "Reviews a second that were new in their job, and that had been listed before and were dropped.",
                    (
                        Query(f"sum(rate(review_fetcher_reviews_stored_total{_RATE}))", "stored"),
                        Query(f"sum(rate(review_fetcher_duplicates_dropped_total{_RATE}))", "duplicates dropped"),
                    ),
                ),
                Panel(
                    "Settle",
                    "From a page's outcome to its commit.",
                    tuple(
                        Query(
                            f"histogram_quantile({share}, sum by (le)"
                            f" (rate(review_fetcher_settle_seconds_bucket{_RATE})))",
                            f"{100 * share:g} %",
                        )
                        for share in (0.5, 0.95, 0.99)
                    ),
                    "s",
                ),
                Panel(
                    "Retries",
                    "Failed attempts a minute that are tried again, by cause.",
                    (Query(f"60 * sum by (cause) (rate(review_fetcher_retries_total{_RATE}))", "{{cause}}"),),
                ),
                Panel(
                    "Dead letters",
                    "Tasks and reviews given up in the last hour, by cause.",
                    (Query("round(sum by (cause) (increase(review_fetcher_dead_letters_total[1h])))", "{{cause}}"),),
                ),
                Panel(
                    "Tokens",
                    "Jobs that wait for a token, and running ones whose token ends within 10 minutes and cannot be "
                    "renewed.",
                    (
                        Query('max(review_fetcher_jobs{status="needs_token"})', "waiting for one"),
                        Query("max(review_fetcher_tokens_expiring)", "soon"),
                    ),
                ),
                Panel(
                    "Pages without a token",
                    "Pages a minute that were not fetched for want of a token, by cause.",
                    (Query(f"60 * sum by (cause) (rate(review_fetcher_token_problems_total{_RATE}))", "{{cause}}"),),
                ),
            ),
        ),
        Row(
            "Out",
            (
                Panel(
                    "Published",
                    "Reviews a second that Kafka took into reviews-raw.",
                    (Query(f"sum(rate(review_fetcher_reviews_published_total{_RATE}))", "published"),),
                ),
                Panel(
                    "Unpublished",
                    "Reviews that are stored and not in reviews-raw yet.",
                    (Query("max(review_fetcher_unpublished_reviews)", "reviews"),),
                ),
                Panel(
                    "Oldest unpublished review",
                    "How long the first of these has waited.",
                    (Query("max(review_fetcher_unpublished_age_seconds)", "age"),),
                    "s",
                ),
                Panel(
                    "Callbacks",
                    "Messages a minute to callbacks, by what was answered.",
                    (
                        Query(
                            f"60 * sum by (outcome) (rate(review_fetcher_webhook_attempts_total{_RATE}))", "{{outcome}}"
                        ),
                    ),
                ),
                Panel(
                    "Callbacks that ended",
                    "Messages delivered, or given up, in the last hour.",
                    (Query("round(sum by (status) (increase(review_fetcher_webhooks_total[1h])))", "{{status}}"),),
                ),
                Panel(
                    "Last sweep",
                    "How long ago housekeeping and erasing last went through.",
                    (
                        Query(
                            "time() - max by (sweep) (review_fetcher_sweep_last_success_timestamp_seconds)", "{{sweep}}"
                        ),
                    ),
                    "s",
                ),
            ),
        ),
    ),
)
