"""Numbers that are not counted but read when somebody looks: of the store, of the buffer, of the process."""

import asyncio
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from app.models.pools import Pool
from app.telemetry import names
from app.telemetry.names import Declared

Labelled = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class StoreNumbers:
    """What the store knows. Keys: status · (stage, status) · stage · (api, window) · api."""

    jobs: Mapping[str, int] = field(default_factory=dict)
    tasks: Mapping[tuple[str, str], int] = field(default_factory=dict)
    runnable: Mapping[str, int] = field(default_factory=dict)
    runnable_seconds: Mapping[str, float] = field(default_factory=dict)
    tokens_expiring: int = 0
    quota_limit: Mapping[tuple[str, str], float] = field(default_factory=dict)
    quota_left: Mapping[tuple[str, str], float] = field(default_factory=dict)
    cooldown_seconds: Mapping[str, float] = field(default_factory=dict)
    unpublished: int = 0
    unpublished_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class DequeNumbers:
    """The buffer: its load, and its four counters by name."""

    load_percent: float
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ProcessNumbers:
    """What the process knows of itself. Keys: pool · role · loop · producer."""

    pools: Mapping[str, Pool] = field(default_factory=dict)
    leaders: Mapping[str, bool] = field(default_factory=dict)
    loops: Mapping[str, bool] = field(default_factory=dict)
    unsent: Mapping[str, int] = field(default_factory=dict)


class Scraped(Collector):
    """What is computed when somebody looks. `swept_at`: sweep → when it last went well, seconds since 1970."""

    def __init__(self, version: str) -> None:
        self.read_deque: Callable[[], DequeNumbers] | None = None
        self.read_process: Callable[[], ProcessNumbers] | None = None
        self.store: StoreNumbers | None = None
        self.swept_at: dict[str, float] = {}
        self._built = (version, platform.python_version())

    def describe(self) -> Iterable[Metric]:
        """Names only: registering must not compute anything."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Called by `generate_latest`."""
        yield _gauge(names.BUILD_INFO, [(self._built, 1)])
        yield _gauge(names.ASYNCIO_TASKS, [((), _tasks())])
        yield _gauge(names.SWEPT_AT, _by_word(self.swept_at))
        if self.read_deque is not None:
            deque = self.read_deque()
            yield _gauge(names.DEQUE_LOAD, [((), deque.load_percent)])
            yield _counter(names.DEQUE, deque.counters)
        if self.read_process is not None:
            yield from _of_process(self.read_process())
        yield _gauge(names.STORE_READ, [((), 0 if self.store is None else 1)])
        if self.store is not None:
            yield from _of_store(self.store)


def _of_process(process: ProcessNumbers) -> Iterable[Metric]:
    pools = process.pools.items()
    yield _gauge(names.POOL_IN_USE, [((name,), pool.in_use) for name, pool in pools])
    yield _gauge(names.POOL_WAITING, [((name,), pool.waiting) for name, pool in pools])
    yield _gauge(names.POOL_SIZE, [((name,), pool.size) for name, pool in pools])
    yield _gauge(names.KAFKA_UNSENT, _by_word(process.unsent))
    yield _gauge(names.LEADER, _by_word(process.leaders))
    yield _gauge(names.LOOP_HEALTHY, _by_word(process.loops))


def _of_store(store: StoreNumbers) -> Iterable[Metric]:
    yield _gauge(names.JOBS, _by_word(store.jobs))
    yield _gauge(names.TASKS, store.tasks.items())
    yield _gauge(names.RUNNABLE, _by_word(store.runnable))
    yield _gauge(names.RUNNABLE_SECONDS, _by_word(store.runnable_seconds))
    yield _gauge(names.TOKENS_EXPIRING, [((), store.tokens_expiring)])
    yield _gauge(names.QUOTA_LIMIT, store.quota_limit.items())
    yield _gauge(names.QUOTA_USED, [(of, limit - store.quota_left[of]) for of, limit in store.quota_limit.items()])
    yield _gauge(names.QUOTA_LEFT, store.quota_left.items())
    yield _gauge(names.COOLDOWN_SECONDS, _by_word(store.cooldown_seconds))
    yield _gauge(names.UNPUBLISHED, [((), store.unpublished)])
    yield _gauge(names.UNPUBLISHED_SECONDS, [((), store.unpublished_seconds)])


def _tasks() -> int:
    """0 where no event loop runs: somebody renders the page outside of a service."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0


def _by_word(values: Mapping[str, float]) -> Labelled:
    return [((label,), value) for label, value in values.items()]


def _gauge(declared: Declared, values: Labelled) -> Metric:
    family = GaugeMetricFamily(declared.name, declared.help, labels=declared.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def _counter(declared: Declared, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(declared.name, declared.help, labels=declared.labels)
    for label, value in values.items():
        family.add_metric((label,), value)
    return family
