"""Hours of half load in short: what grows that should not?

A cluster of its own takes as many reviews as it can for a minute, then half of that for the time asked for. Every ten
seconds it is looked at from outside, and a line is laid through the samples after the warm-up.
"""

import csv
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from cluster import sampling
from cluster.borrowed import ACCEPTED, Cluster, borrowed
from cluster.lifecycle import Tell
from cluster.slopes import Bound, Trend, trend

SETTINGS = {
    "RATELIMIT_TOKEN_BUCKET_CAPACITY": "0",
    "RATELIMIT_PER_MINUTE": "0",
    "WORKER_CONCURRENCY": "8",
    "LOG_LEVEL": "WARNING",
}
"""No quota but the machine's own."""

LOCATIONS, REVIEWS = 20, 100
REVIEWS_OF_A_JOB = LOCATIONS * REVIEWS

SAMPLE_SECONDS = 10.0
CALIBRATION_SECONDS = 60.0
OPEN_JOBS = 6
"""While it is measured how much the cluster can do."""

LEAST_WARM_UP = 60.0
WARM_UP_SHARE = 0.2

OF_A_REPLICA = (
    Bound("resident memory", 16.0, "MB"),
    Bound("open files", 10.0),
    Bound("threads", 4.0),
    Bound("asyncio tasks", 10.0),
    Bound("places of pools in use", 4.0),
)
OF_ALL = (
    Bound("connections of PostgreSQL", 4.0),
    Bound("WAL", 64.0, "MB"),
    Bound("Kafka's files per review", 100.0, "bytes"),
    Bound("unfinished jobs", 5.0),
    Bound("unpublished reviews", 5_000.0),
)
"""Kafka keeps what it was sent as long as it was told to: only its bytes for each review may not grow."""

Sample = dict[str, float]
"""`seconds`, and a value for each bound."""


def run(minutes: float, rate: float | None, out: Path, tell: Tell) -> bool:
    """Prints the table and writes the samples to `out`; whether everything was kept.

    `rate`: reviews a second to offer; None: half of what was found to be possible.
    """
    with borrowed(SETTINGS, tell) as cluster:
        offered = rate or _calibrated(cluster, tell) / 2
        tell(f"offering {offered:.0f} reviews a second for {minutes:g} minutes")
        load = Load(cluster, offered)
        load.start()
        samples = list(_samples(cluster, 60 * minutes, tell))
        load.end()
    _write(samples, out)
    trends = trends_of(samples, warm_up(60 * minutes))
    Console(width=110).print(table(trends, f"{minutes:g} minutes at {offered:.0f} reviews a second"))
    print(f"jobs accepted {load.accepted}, refused {load.refused}; samples in {out}")
    return all(each.kept for each in trends) and not load.refused


class Load(threading.Thread):
    """Submits a job at even distances, whatever becomes of those before."""

    def __init__(self, cluster: Cluster, rate: float) -> None:
        super().__init__(name="load", daemon=True)
        self.accepted = 0
        self.refused = 0
        self._cluster = cluster
        self._distance = REVIEWS_OF_A_JOB / rate
        self._ending = threading.Event()

    def run(self) -> None:
        due = time.monotonic()
        while not self._ending.wait(max(0.0, due - time.monotonic())):
            due += self._distance
            if submit(self._cluster):
                self.accepted += 1
            else:
                self.refused += 1

    def end(self) -> None:
        self._ending.set()
        self.join()


def submit(cluster: Cluster) -> bool:
    token = f"ya29.sim-accounts1-locations{LOCATIONS}-reviews{REVIEWS}-soak{time.monotonic_ns()}"
    return cluster.submit(token).status == ACCEPTED


def _calibrated(cluster: Cluster, tell: Tell) -> float:
    """Reviews a second while there is always more to do. The first quarter warms everything up and does not count."""
    tell(f"measuring for {CALIBRATION_SECONDS:.0f} s how much it can do")
    began = time.monotonic()
    fetched, counted_from = 0, began
    while (now := time.monotonic()) < began + CALIBRATION_SECONDS:
        if counted_from == began and now > began + CALIBRATION_SECONDS / 4:
            fetched, counted_from = cluster.fetched(), now
        for _ in range(OPEN_JOBS - cluster.unfinished()):
            submit(cluster)
        time.sleep(0.1)
    possible = (cluster.fetched() - fetched) / (time.monotonic() - counted_from)
    tell(f"{possible:.0f} reviews a second are possible")
    while cluster.unfinished():
        time.sleep(0.1)
    return possible


def _samples(cluster: Cluster, seconds: float, tell: Tell) -> list[Sample]:
    began = time.monotonic()
    samples = []
    while (elapsed := time.monotonic() - began) < seconds:
        samples.append({"seconds": elapsed, **sample(cluster)})
        if len(samples) % 6 == 1:
            tell(f"{elapsed / 60:5.1f} min  {_in_short(samples[-1])}")
        time.sleep(max(0.0, began + elapsed + SAMPLE_SECONDS - time.monotonic()))
    return samples


def _in_short(sample: Sample) -> str:
    memory = ", ".join(f"{value:.0f}" for name, value in sample.items() if name.endswith("resident memory"))
    return f"resident memory {memory} MB, " + ", ".join(f"{bound.name} {sample[bound.name]:.0f}" for bound in OF_ALL)


def sample(cluster: Cluster) -> Sample:
    found: Sample = {}
    for part, (_, metrics) in zip(cluster.replicas, cluster.plan.replicas, strict=True):
        values = _of_a_replica(cluster.pid(part), metrics)
        found |= {f"{part.name}: {bound.name}": value for bound, value in zip(OF_A_REPLICA, values, strict=True)}
    return found | {bound.name: value for bound, value in zip(OF_ALL, _of_all(cluster), strict=True)}


def _of_a_replica(pid: int, metrics: int) -> tuple[float, ...]:
    return (
        sampling.resident_mb(pid),
        float(sampling.open_files(pid)),
        float(sampling.threads(pid)),
        sampling.metric(metrics, "review_fetcher_asyncio_tasks"),
        sampling.metric(metrics, "review_fetcher_pool_in_use"),
    )


def _of_all(cluster: Cluster) -> tuple[float, ...]:
    brokers = [part.home for part in cluster.parts if part.name.startswith("kafka-")]
    kafka = sum(sampling.bytes_below(home / "log") for home in brokers)
    own = "datname = current_database() AND pid <> pg_backend_pid()"
    return (
        float(cluster.value(f"SELECT count(*) FROM pg_stat_activity WHERE {own}")),  # noqa: S608 - no value in it
        float(cluster.value("SELECT sum(size)::bigint FROM pg_ls_waldir()")) / 2**20,
        kafka / max(1, cluster.fetched()),
        float(cluster.unfinished()),
        sampling.metric(cluster.plan.replicas[0][1], "review_fetcher_unpublished_reviews"),
    )


def warm_up(seconds: float) -> float:
    return max(LEAST_WARM_UP, WARM_UP_SHARE * seconds)


def trends_of(samples: Sequence[Sample], warm_up: float) -> list[Trend]:
    """One for each value; ValueError when the run was too short for any."""
    measured = [each for each in samples if each["seconds"] >= warm_up]
    names = [name for name in samples[0] if name != "seconds"]
    bounds = {bound.name: bound for bound in (*OF_A_REPLICA, *OF_ALL)}
    found = []
    for name in names:
        bound = bounds[name.rpartition(": ")[2]]
        points = [(each["seconds"], each[name]) for each in measured]
        found.append(trend(Bound(name, bound.most, bound.unit), points))
    return found


def table(trends: Sequence[Trend], title: str) -> Table:
    drawn = Table("", "after the warm-up", "at the end", "grown", "may grow", "", title=title, title_justify="left")
    for each in trends:
        most = f"{each.bound.most:,.0f} {each.bound.unit}".strip()
        figures = (f"{each.first:,.1f}", f"{each.last:,.1f}", f"{each.grown:+,.1f}")
        drawn.add_row(each.bound.name, *figures, most, "kept" if each.kept else "MISSED")
    return drawn


def _write(samples: Sequence[Sample], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", newline="") as file:
        rows = csv.DictWriter(file, list(samples[0]))
        rows.writeheader()
        rows.writerows({name: f"{value:.2f}" for name, value in each.items()} for each in samples)
