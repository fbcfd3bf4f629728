"""The numbers on `/metrics`. Counting is a dictionary look-up and an addition; what the store knows is read when asked.

Label values come from a fixed set, or are bounded here: Google's words for an error must not grow the memory.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

from app.clock import Clock, SystemClock
from app.telemetry import names
from app.telemetry.events import Event
from app.telemetry.names import Declared, counter, histogram
from app.telemetry.requests import Requests
from app.telemetry.scraped import DequeNumbers, ProcessNumbers, Scraped, StoreNumbers

SNAPSHOT_SECONDS = 2.0
"""How old the store's numbers may be: several scrapers, or an eager one, cost one read."""

SNAPSHOT_TIMEOUT_SECONDS = 3.0
"""A scrape must end well within Prometheus' usual 10 s, whatever the store does."""

LAG_SECONDS = 1.0
"""Between two looks at how late the event loop is."""

MOST_LABEL_VALUES = 60

log = structlog.get_logger(__name__)


class _Labels:
    """Lets so many values of a label through, of each metric, and calls the rest "other"."""

    def __init__(self) -> None:
        self._known: defaultdict[str, dict[str, str]] = defaultdict(dict)

    def bounded(self, metric: Declared, value: str) -> str:
        known = self._known[metric.name]
        found = known.get(value)
        if found is not None:
            return found
        if len(known) >= MOST_LABEL_VALUES:
            return "other"
        return known.setdefault(value, re.sub(r"[^\w.\-]", "_", value)[:64])


class Metrics:
    """All metrics of one process, in a registry of their own."""

    def __init__(self, clock: Clock | None = None, version: str = "") -> None:
        # `_created` doubles the series for nobody
        disable_created_metrics()  # type: ignore[no-untyped-call] # prometheus_client leaves it untyped
        self.registry = CollectorRegistry()
        self._clock = clock or SystemClock()
        self._labels = _Labels()
        self._calls = self._counter(names.CALLS)
        self._call_seconds = self._histogram(names.CALL_SECONDS)
        self._settle_seconds = self._histogram(names.SETTLE_SECONDS)
        self._throttled = self._counter(names.THROTTLED)
        self._first_review_seconds = self._histogram(names.FIRST_REVIEW_SECONDS)
        self._job_seconds = self._histogram(names.JOB_SECONDS)
        self._token_problems = self._counter(names.TOKEN_PROBLEMS)
        self._published = self._counter(names.PUBLISHED)
        self._loop_lag = self._histogram(names.LOOP_LAG)
        self._reviews = self._counter(names.REVIEWS_STORED)
        self._duplicates = self._counter(names.DUPLICATES)
        self._retries = self._counter(names.RETRIES)
        self._dead_letters = self._counter(names.DEAD_LETTERS)
        self._loop_restarts = self._counter(names.LOOP_RESTARTS)
        self._webhook_attempts = self._counter(names.WEBHOOK_ATTEMPTS)
        self._webhooks = self._counter(names.WEBHOOKS)
        self._failed_authentications = self._counter(names.FAILED_AUTHENTICATIONS)
        self._spans_dropped = self._counter(names.SPANS_DROPPED)
        self._commits = self._counter(names.COMMITS)
        self._commit_units = self._histogram(names.COMMIT_UNITS)
        self._begin_at_zero()
        self._scraped = Scraped(version)
        self.registry.register(self._scraped)
        ProcessCollector(registry=self.registry)
        self._read_store: Callable[[], Awaitable[StoreNumbers]] | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    def _begin_at_zero(self) -> None:
        """Of a series that begins with its first event nobody sees that this was one more than before."""
        for status in ("delivered", "failed"):
            self._webhooks.labels(status)
        for reason in ("missing", "wrong", "limited"):
            self._failed_authentications.labels(reason)

    def called(self, api: str, outcome: str, seconds: float, *, throttled: bool = False) -> None:
        """One call to Google ended: `outcome` is ok or the reason of the error, `throttled` whether a quota was it."""
        self._throttled.labels(api).inc(int(throttled))
        self._calls.labels(api, self._labels.bounded(names.CALLS, outcome)).inc()
        self._call_seconds.labels(api).observe(seconds)

    def settled(self, seconds: float, *, stored: int = 0, duplicates: int = 0) -> None:
        """One page was settled: reviews stored, and reviews that had been stored before."""
        self._settle_seconds.observe(seconds)
        if stored:
            self._reviews.inc(stored)
        if duplicates:
            self._duplicates.inc(duplicates)

    def first_review(self, seconds: float) -> None:
        """A job stored its first review this long after it was accepted."""
        self._first_review_seconds.observe(seconds)

    def job_ended(self, status: str, seconds: float) -> None:
        """A job ended by itself this long after it was accepted."""
        self._job_seconds.labels(status).observe(seconds)

    def lacked_token(self, cause: str) -> None:
        """A page was not fetched, and its job may wait for a token."""
        self._token_problems.labels(self._labels.bounded(names.TOKEN_PROBLEMS, cause)).inc()

    def published(self, reviews: int) -> None:
        """Kafka has so many more in reviews-raw."""
        self._published.inc(reviews)

    def sweep_is_due(self, sweep: str) -> None:
        """It is this process's turn: from here on its first success is awaited."""
        self._scraped.swept_at.setdefault(sweep, self._clock.now())

    def swept(self, sweep: str) -> None:
        """The store took a turn of this sweep."""
        self._scraped.swept_at[sweep] = self._clock.now()

    def retried(self, cause: str) -> None:
        """An attempt failed and is to be made again."""
        self._retries.labels(self._labels.bounded(names.RETRIES, cause)).inc()

    def dead_lettered(self, cause: str, count: int = 1) -> None:
        """Tasks or reviews were given up."""
        self._dead_letters.labels(self._labels.bounded(names.DEAD_LETTERS, cause)).inc(count)

    def loop_began(self, loop: str) -> None:
        """It has not died yet."""
        self._loop_restarts.labels(loop)

    def loop_restarted(self, loop: str) -> None:
        """A background loop died and is started again."""
        self._loop_restarts.labels(loop).inc()

    def webhook_attempted(self, outcome: str) -> None:
        """A message was sent to a callback: `outcome` is 2xx, 3xx, 4xx, 5xx or no_answer."""
        self._webhook_attempts.labels(self._labels.bounded(names.WEBHOOK_ATTEMPTS, outcome)).inc()

    def webhook_ended(self, status: str) -> None:
        """A message was delivered, or given up as failed."""
        self._webhooks.labels(status).inc()

    def authentication_failed(self, reason: str) -> None:
        """A request was not let in: `reason` is missing, wrong or limited."""
        self._failed_authentications.labels(reason).inc()

    def spans_dropped(self, count: int) -> None:
        """So many spans will never reach the collector. Called from any thread."""
        self._spans_dropped.inc(count)

    def committed(self, units: int) -> None:
        """The store committed so many units of work in one transaction."""
        self._commits.inc()
        self._commit_units.observe(units)

    def watch_deque(self, read: Callable[[], DequeNumbers]) -> None:
        """Ask `read` at each scrape."""
        self._scraped.read_deque = read

    def watch_process(self, read: Callable[[], ProcessNumbers]) -> None:
        """Ask `read` at each scrape."""
        self._scraped.read_process = read

    def watch_requests(self, requests: Requests) -> None:
        """Show them, of an application in this process."""
        requests.register(self.registry)

    async def watch_event_loop(self) -> None:
        """Until cancelled: see how late the event loop wakes who asked for it."""
        while True:
            asked = self._clock.monotonic()
            await self._clock.sleep(LAG_SECONDS)
            self._loop_lag.observe(max(0.0, self._clock.monotonic() - asked - LAG_SECONDS))

    def watch_store(self, read: Callable[[], Awaitable[StoreNumbers]]) -> None:
        """Ask `read` before a scrape, at most every `SNAPSHOT_SECONDS`."""
        self._read_store = read

    async def scrape(self) -> bytes:
        """`render`, with numbers of the store that are fresh."""
        await self.refresh()
        return self.render()

    async def refresh(self) -> None:
        """Read the store's numbers if they are old. A store that is away takes them off the page, and is no error."""
        if self._read_store is None:
            return
        async with self._reading:
            if self._clock.monotonic() - self._read_at < SNAPSHOT_SECONDS:
                return
            self._scraped.store = await self._snapshot(self._read_store)
            self._read_at = self._clock.monotonic()

    def render(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)

    async def _snapshot(self, read: Callable[[], Awaitable[StoreNumbers]]) -> StoreNumbers | None:
        try:
            async with asyncio.timeout(SNAPSHOT_TIMEOUT_SECONDS):
                return await read()
        except Exception as error:
            log.warning(Event.METRICS_WITHOUT_STORE, cause=type(error).__name__)
            return None

    def _counter(self, declared: Declared) -> Counter:
        return counter(declared, self.registry)

    def _histogram(self, declared: Declared) -> Histogram:
        return histogram(declared, self.registry)
