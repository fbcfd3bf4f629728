"""Every metric of the service, declared once: name, kind, help, labels, buckets. Times are seconds.

What a replica read from the store is the same on each of them, and marked `of_store`: take the max, never the sum.
"""

from typing import Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram


class Declared(NamedTuple):
    """One metric as `/metrics` shows it (a counter's name gets `_total` there)."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    of_store: bool = False


_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_REMOTE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_UNITS = (1, 2, 4, 8, 16, 32, 64, 128)

HTTP_REQUESTS = Declared(
    "review_fetcher_http_requests",
    "counter",
    "Requests that ended, by the route's template (other: no such path), method and class of the status (2xx to 5xx, "
    "or gone: the client left before an answer began).",
    ("route", "method", "status"),
)
HTTP_SECONDS = Declared(
    "review_fetcher_http_request_seconds",
    "histogram",
    "From a request to the end of its answer; a stream of events ends when it is closed.",
    ("route",),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
)
HTTP_IN_FLIGHT = Declared(
    "review_fetcher_http_requests_in_flight", "gauge", "Requests whose answer has not ended, streams of events too."
)
POOL_IN_USE = Declared(
    "review_fetcher_pool_in_use",
    "gauge",
    "What of a pool is in use: connections or threads of the store, calls to Google on the wire, places of a worker.",
    ("pool",),
)
POOL_WAITING = Declared(
    "review_fetcher_pool_waiting",
    "gauge",
    "What waits for its place in the pool: for a worker, tasks that this process received and has not taken.",
    ("pool",),
)
POOL_SIZE = Declared("review_fetcher_pool_size", "gauge", "How many places the pool has.", ("pool",))
KAFKA_UNSENT = Declared(
    "review_fetcher_kafka_unsent_messages", "gauge", "Messages that Kafka has not confirmed yet.", ("producer",)
)
LOOP_LAG = Declared(
    "review_fetcher_event_loop_lag_seconds",
    "histogram",
    "How late the event loop woke somebody who asked to be woken, asked once a second.",
    (),
    _FAST,
)
ASYNCIO_TASKS = Declared("review_fetcher_asyncio_tasks", "gauge", "Tasks of the event loop that have not ended.")
BUILD_INFO = Declared("review_fetcher_build_info", "gauge", "Always 1: what runs.", ("version", "python"))
LEADER = Declared(
    "review_fetcher_leader",
    "gauge",
    "1 where this process leads: of each role one of all processes does; publisher is there with Kafka alone.",
    ("role",),
)
LOOP_HEALTHY = Declared(
    "review_fetcher_loop_healthy", "gauge", "0 when a background loop of this process keeps dying.", ("loop",)
)
SWEPT_AT = Declared(
    "review_fetcher_sweep_last_success_timestamp_seconds",
    "gauge",
    "When this process, leading, last went through a sweep that the store took; before its first, when it was to begin "
    "(seconds since 1970).",
    ("sweep",),
)
CALLS = Declared(
    "review_fetcher_google_calls",
    "counter",
    "Calls to Google: for a page of accounts, locations or reviews, about a token (tokeninfo), for a new one (token).",
    ("api", "outcome"),
)
CALL_SECONDS = Declared(
    "review_fetcher_google_call_seconds", "histogram", "From sending a call to its answer.", ("api",), _REMOTE
)
THROTTLED = Declared(
    "review_fetcher_google_throttled", "counter", "Calls that Google refused because a quota was spent.", ("api",)
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
TOKEN_PROBLEMS = Declared(
    "review_fetcher_token_problems",
    "counter",
    "Pages that were not fetched for want of a token, by cause: it was refused, or could not be renewed or opened.",
    ("cause",),
)
PUBLISHED = Declared("review_fetcher_reviews_published", "counter", "Reviews that Kafka has in reviews-raw.")
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
JOB_SECONDS = Declared(
    "review_fetcher_job_seconds",
    "histogram",
    "From accepting a job to its end, for jobs that ended by themselves.",
    ("status",),
    (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0),
)
JOBS = Declared(
    "review_fetcher_jobs",
    "gauge",
    "Jobs in the store; of a status no more than 10,000 are counted.",
    ("status",),
    (),
    True,
)
TASKS = Declared(
    "review_fetcher_tasks",
    "gauge",
    "Tasks in the store that are not done: they wait, are released (on their way to a worker), held by one, or dead; "
    "those that wait or are dead are counted up to 10,000.",
    ("stage", "status"),
    (),
    True,
)
RUNNABLE = Declared(
    "review_fetcher_runnable_tasks",
    "gauge",
    "Tasks that could run now: due, of jobs that run, whose quota has calls left and whose token is not being renewed; "
    "counted up to 10,000, of the 1,000 running jobs that stood still longest or moved last.",
    ("stage",),
    (),
    True,
)
RUNNABLE_SECONDS = Declared(
    "review_fetcher_oldest_runnable_task_seconds",
    "gauge",
    "For how long the first of these, or of released tasks that no worker has taken, has been due; 0 without any.",
    ("stage",),
    (),
    True,
)
TOKENS_EXPIRING = Declared(
    "review_fetcher_tokens_expiring",
    "gauge",
    "Running jobs whose access token ends within 10 minutes and cannot be renewed; counted up to 10,000.",
    (),
    (),
    True,
)
QUOTA_LIMIT = Declared(
    "review_fetcher_quota_limit",
    "gauge",
    "Calls that a window allows, of the Google project that has least left.",
    ("api", "window"),
    (),
    True,
)
QUOTA_USED = Declared(
    "review_fetcher_quota_used",
    "gauge",
    "Calls made or lent to a replica in the window, of the Google project that has least left.",
    ("api", "window"),
    (),
    True,
)
QUOTA_LEFT = Declared(
    "review_fetcher_quota_left",
    "gauge",
    "Calls left now, of the Google project that has least.",
    ("api", "window"),
    (),
    True,
)
COOLDOWN_SECONDS = Declared(
    "review_fetcher_cooldown_seconds",
    "gauge",
    "How long Google's 429 still closes the API; 0 when open.",
    ("api",),
    (),
    True,
)
UNPUBLISHED = Declared(
    "review_fetcher_unpublished_reviews", "gauge", "Reviews stored and not yet in reviews-raw.", (), (), True
)
UNPUBLISHED_SECONDS = Declared(
    "review_fetcher_unpublished_age_seconds",
    "gauge",
    "How long the first of these has been stored; 0 without any.",
    (),
    (),
    True,
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


def counter(declared: Declared, registry: CollectorRegistry | None = None) -> Counter:
    """A counter as declared, in the registry or in none yet."""
    return Counter(declared.name, declared.help, declared.labels, registry=registry)


def histogram(declared: Declared, registry: CollectorRegistry | None = None) -> Histogram:
    """A histogram as declared, in the registry or in none yet."""
    return Histogram(declared.name, declared.help, declared.labels, registry=registry, buckets=declared.buckets)
