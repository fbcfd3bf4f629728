"""Every metric of the service, declared once: name, kind, help, labels, buckets. Times are seconds."""

from typing import Literal, NamedTuple


class Declared(NamedTuple):
    """One metric as `/metrics` shows it (a counter's name gets `_total` there)."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_REMOTE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_UNITS = (1, 2, 4, 8, 16, 32, 64, 128)

CALLS = Declared("review_fetcher_google_calls", "counter", "Calls to Google.", ("api", "outcome"))
CALL_SECONDS = Declared(
    "review_fetcher_google_call_seconds", "histogram", "From sending a call to its answer.", ("api",), _REMOTE
)
SETTLE_SECONDS = Declared(
    "review_fetcher_settle_seconds", "histogram", "From a page's outcome to its commit.", (), _FAST
)
REVIEWS_STORED = Declared("review_fetcher_reviews_stored", "counter", "Reviews stored for the first time in their job.")
DUPLICATES = Declared(
    "review_fetcher_duplicates_dropped", "counter", "Reviews that Google listed again and that were dropped."
)
RETRIES = Declared("review_fetcher_retries", "counter", "Failed attempts that are tried again.", ("cause",))
DEAD_LETTERS = Declared("review_fetcher_dead_letters", "counter", "Tasks and reviews given up.", ("cause",))
LOOP_RESTARTS = Declared("review_fetcher_loop_restarts", "counter", "Background loops that died.", ("loop",))
WEBHOOK_ATTEMPTS = Declared(
    "review_fetcher_webhook_attempts",
    "counter",
    "Messages sent to callbacks, by what was answered: 2xx, 3xx, 4xx, 5xx or no_answer.",
    ("outcome",),
)
WEBHOOKS = Declared(
    "review_fetcher_webhooks", "counter", "Messages to callbacks that were delivered, or given up.", ("status",)
)
FAILED_AUTHENTICATIONS = Declared(
    "review_fetcher_failed_authentications",
    "counter",
    "Requests that were not let in: without a key (missing), with a wrong one, or refused unread (limited).",
    ("reason",),
)
SPANS_DROPPED = Declared("review_fetcher_spans_dropped", "counter", "Spans of traces that the collector never got.")
COMMITS = Declared("review_fetcher_store_commits", "counter", "Transactions that the store committed.")
COMMIT_UNITS = Declared(
    "review_fetcher_store_commit_units", "histogram", "Units of work in one commit (settles, claims, jobs).", (), _UNITS
)
FIRST_REVIEW_SECONDS = Declared(
    "review_fetcher_first_review_seconds",
    "histogram",
    "From accepting a job to its first stored review.",
    (),
    (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0),
)
JOBS = Declared("review_fetcher_jobs", "gauge", "Jobs in the store.", ("status",))
TASKS = Declared(
    "review_fetcher_tasks",
    "gauge",
    "Tasks in the store that are not done; those that wait or are dead are counted up to 10,000.",
    ("stage", "status"),
)
QUOTA_LEFT = Declared(
    "review_fetcher_quota_left", "gauge", "Calls left now, of the Google project that has least.", ("api", "window")
)
COOLDOWN_SECONDS = Declared(
    "review_fetcher_cooldown_seconds", "gauge", "How long Google's 429 still closes the API; 0 when open.", ("api",)
)
UNPUBLISHED = Declared("review_fetcher_unpublished_reviews", "gauge", "Reviews stored and not yet in reviews-raw.")
UNPUBLISHED_SECONDS = Declared(
    "review_fetcher_unpublished_age_seconds", "gauge", "How long the first of these has been stored; 0 without any."
)
DEQUE_LOAD = Declared("review_fetcher_deque_load_percent", "gauge", "How full the buffer between POST and store is.")
DEQUE = Declared(
    "review_fetcher_deque_items",
    "counter",
    "Jobs that were enqueued, dequeued, rejected (full), and how often the buffer became full (max_size_hit).",
    ("event",),
)
STORE_READ = Declared(
    "review_fetcher_store_readable", "gauge", "1 when the numbers above that come from the store could be read."
)

ALL = tuple(value for value in list(vars().values()) if isinstance(value, Declared))
