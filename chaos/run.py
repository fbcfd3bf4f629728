"""One run: everything up, the customer and the reader at work, the rounds, and the verdict."""

import base64
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from app.models.events import Topic
from chaos.arena import Arena
from chaos.conductor import Conductor
from chaos.door import Knocking
from chaos.fleet import CAPACITY, PER_MINUTE, RATE, Fleet
from chaos.google import google
from chaos.judge import Findings, Judge
from chaos.orders import Order, Orders
from chaos.records import ends_of, reading
from chaos.rounds import Round
from chaos.secrets import LEDGER, left
from chaos.servers import addresses, free_ports, own_brokers, own_kafka, own_postgresql, own_proxy
from chaos.store import Store, Timeline
from chaos.strangers import buried
from chaos.verdict import Evidence, Limits
from tests.support.canaries import CANARIES

BROKERS = 3

DRAIN_SECONDS = 180.0
"""For the jobs that are open when the last disturbance is over."""

LOOK_SECONDS = 0.2

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """`rounds` may be endless: at least `least` of them are played, and more while `seconds` are not over.

    `jobs`: how many are unfinished at any time.
    """

    seed: int
    replicas: int
    jobs: int
    rounds: Iterable[Round]
    least: int
    seconds: float
    cluster: bool = False
    """Three brokers in place of one, and nginx in front of the replicas."""


@contextmanager
def place(tell: Tell) -> Iterator[Path]:
    """A directory for logs and ledgers, thrown away when the body ends well."""
    directory = Path(tempfile.mkdtemp(prefix="review-fetcher-chaos-"))
    tell(f"logs and ledgers: {directory}")
    yield directory
    shutil.rmtree(directory)


def run(plan: Plan, directory: Path, tell: Tell) -> Evidence:
    """Returns what was found. Whatever was started has ended by then, also when something raises."""
    began = time.monotonic()
    CANARIES.begin()
    with ExitStack() as stack:
        arena = arrange(stack, plan, directory)
        records = stack.enter_context(reading(arena.servers, Topic.REVIEWS_RAW.value, directory))
        timeline = Timeline(arena.store)
        timeline.start()
        stack.callback(timeline.end)
        customer = Random(f"{plan.seed} orders")
        orders = Orders(arena.fleet, timeline, customer, directory / LEDGER, plan.jobs)
        orders.start()
        stack.callback(orders.end, 1.0)  # when the run breaks off, nobody judges it any more
        knocking = stack.enter_context(knocked(arena, plan.seed)) if plan.cluster else None
        judge = Judge(arena.store, arena.google, records, ends_of(arena.servers, Topic.REVIEWS_RAW.value))
        between = Findings()
        conductor = Conductor(arena, timeline, records, tell)
        tell(f"{plan.replicas} replicas are ready after {time.monotonic() - began:.0f} s")

        def all_accepted() -> list[Order]:
            return [*orders.accepted, *(knocking.accepted if knocking else [])]

        def after_each_round() -> None:
            found = judge.so_far(all_accepted())
            between.join(found)
            for example in found.examples:
                tell(f"BROKEN            {example}")

        conductor.play(plan.rounds, plan.least, began + plan.seconds, after_each_round)
        orders.end()
        door = knocking.end() if knocking else None
        tell(f"all disturbances are over; {timeline.now.unfinished} jobs are open")
        drain(timeline)
        timeline.end()
        findings, jobs = judge.at_the_end(all_accepted())
        return Evidence(
            jobs=jobs,
            accepted=len(all_accepted()),
            findings=findings,
            cases=conductor.cases,
            calls=arena.google.calls(),
            samples=timeline.samples,
            received=records.times,
            stopped=arena.stopped,
            limits=Limits(CAPACITY, RATE, PER_MINUTE),
            counters_off=arena.store.counters_off(),
            refused=orders.refused,
            poison=arena.poison,
            buried=buried(arena.servers) if arena.poison else [],
            fell=conductor.fell,
            secrets=left(arena, directory),
            door=door,
            between=between,
        )


def arrange(stack: ExitStack, plan: Plan, directory: Path) -> Arena:
    """Google, the two servers and the replicas, all ready. What `stack` ends, it ends in reverse."""
    upstream = stack.enter_context(google(plan.seed))
    postgresql = stack.enter_context(own_postgresql(directory))
    brokers = stack.enter_context(own_brokers(directory, BROKERS)) if plan.cluster else []
    brokers = brokers or [stack.enter_context(own_kafka(directory))]
    settings = {
        "DATABASE_URL": postgresql.service.settings["DATABASE_URL"],
        "KAFKA_BOOTSTRAP_SERVERS": addresses(brokers),
        "KAFKA_REPLICATION_FACTOR": str(len(brokers)),
        "GOOGLE_API_BASE_URL": upstream.url,
        "TOKEN_SEALING_KEYS": f"1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
    }
    fleet = Fleet(directory, free_ports(plan.replicas) if plan.cluster else [0] * plan.replicas, settings)
    stack.callback(fleet.end)
    fleet.started()
    store = Store(settings["DATABASE_URL"])
    return Arena(fleet, brokers, postgresql, store, upstream, Random(f"{plan.seed} disturbances"))


@contextmanager
def knocked(arena: Arena, seed: int) -> Iterator[Knocking]:
    """Who knocks at the proxy in front of the replicas, from now on."""
    with own_proxy(arena.fleet.directory, [replica.port for replica in arena.fleet.replicas]) as port:
        knocking = Knocking(port, Random(f"{seed} knocking"), arena.fleet.key)
        knocking.start()
        yield knocking


def drain(timeline: Timeline) -> None:
    deadline = time.monotonic() + DRAIN_SECONDS
    while timeline.now.unfinished and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
