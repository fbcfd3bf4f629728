"""What HTTP requests come to: how many, how they ended, how long they took. Every request pays for it: cheaply."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.telemetry import names
from app.telemetry.names import counter, histogram

OTHER = "other"
"""A path that nothing has, or a method that HTTP does not know: a stranger's words must not grow the memory."""

GONE = "gone"
"""The client left before an answer began."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Requests(Collector):
    """The requests of one application. `register` shows them in a registry."""

    def __init__(self) -> None:
        self._requests = counter(names.HTTP_REQUESTS)
        self._seconds = histogram(names.HTTP_SECONDS)
        self._counters: dict[tuple[str | None, str, int | None], Counter] = {}
        self._histograms: dict[str | None, Histogram] = {}
        self._in_flight = 0

    def register(self, registry: CollectorRegistry) -> None:
        for collector in (self._requests, self._seconds, self):
            registry.register(collector)

    def begin_at_zero(self, route: str, method: str) -> None:
        """Show its errors before the first: of a series that begins with one nobody sees that it was one more."""
        for status in ("5xx", GONE):
            self._requests.labels(route, method, status)

    def began(self) -> None:
        self._in_flight += 1

    def ended(self, route: str | None, method: str, status: int | None, seconds: float) -> None:
        """`route` is its template; None: no route has the path. `status` None: the client left before its answer."""
        self._in_flight -= 1
        found = self._counters.get((route, method, status))
        if found is None:
            found = self._counter(route, method, status)
        found.inc()
        self._histograms[route].observe(seconds)

    def collect(self) -> Iterable[Metric]:
        yield GaugeMetricFamily(names.HTTP_IN_FLIGHT.name, names.HTTP_IN_FLIGHT.help, value=self._in_flight)

    def describe(self) -> Iterable[Metric]:
        return ()

    def _counter(self, route: str | None, method: str, status: int | None) -> Counter:
        template = route or OTHER
        self._histograms[route] = self._seconds.labels(template)
        known = method if method in _METHODS else OTHER
        found = self._requests.labels(template, known, GONE if status is None else f"{status // 100}xx")
        if known is not OTHER:
            self._counters[route, method, status] = found
        return found
