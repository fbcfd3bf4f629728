"""What can go wrong, each by its name. Those of processes and servers; what others do to Kafka is in `crowding`."""

import signal
import time
from collections.abc import Iterator

from chaos.arena import Arena, Case, Disturbance, reached
from chaos.fleet import Replica
from chaos.servers import Server
from chaos.victims import busy, leader

FROZEN_SECONDS = (20.0, 30.0)
"""Longer than the leases of tasks (15 s) and of leaders (3 s), and than Kafka's session (10 s)."""

AWAY_SECONDS = (2.0, 8.0)
LONG_AWAY_SECONDS = (40.0, 50.0)
REPLACED_SECONDS = 20.0
"""Kafka takes a broker for dead after 9 s of silence; then leaders, coordinators and transactions move."""

DEAD_SECONDS = (0.0, 3.0)
CUT_SECONDS = 8.0


def kill(arena: Arena, case: Case) -> Iterator[float]:
    """kill -9 of a replica, which is started again."""
    yield from _kill(arena, case, busy(arena))


def kill_publisher(arena: Arena, case: Case) -> Iterator[float]:
    """kill -9 of the replica that publishes: another has to take over."""
    yield from _kill(arena, case, leader(arena, "publisher"))


def kill_scheduler(arena: Arena, case: Case) -> Iterator[float]:
    """kill -9 of the replica that releases tasks."""
    yield from _kill(arena, case, leader(arena, "scheduler"))


def terminate(arena: Arena, case: Case) -> Iterator[float]:
    """SIGTERM: an orderly stop, which costs no page; then a new start."""
    replica = busy(arena)
    if replica is None:
        return
    seconds = arena.fleet.terminate(replica)
    arena.stopped.append(seconds)
    case.reached = True
    case.told = f"replica {replica.number} ended in {seconds:.1f} s"
    yield arena.random.uniform(*DEAD_SECONDS)
    arena.fleet.restart(replica)


def zombie(arena: Arena, case: Case) -> Iterator[float]:
    """SIGSTOP long past every lease, then SIGCONT: it goes on with work that is another's by now."""
    yield from _zombie(arena, case, busy(arena))


def zombie_publisher(arena: Arena, case: Case) -> Iterator[float]:
    """The same with the replica that publishes: it wakes in the middle of a transaction that is over."""
    yield from _zombie(arena, case, leader(arena, "publisher"))


def kafka_stop(arena: Arena, case: Case) -> Iterator[float]:
    """An orderly stop of a broker, and its start."""
    yield from _outage(arena, case, any_broker(arena), signal.SIGTERM)


def kafka_kill(arena: Arena, case: Case) -> Iterator[float]:
    """kill -9 of a broker, and its start."""
    case.kills = 1
    yield from _outage(arena, case, any_broker(arena), signal.SIGKILL)


def broker_away(arena: Arena, case: Case) -> Iterator[float]:
    """kill -9 of one broker of several, and a long stretch without it."""
    case.kills = 1
    case.replaced = case.began + REPLACED_SECONDS
    yield from _outage(arena, case, any_broker(arena), signal.SIGKILL, LONG_AWAY_SECONDS)


def postgresql_stop(arena: Arena, case: Case) -> Iterator[float]:
    """An immediate stop of PostgreSQL, which loses what was not committed, and its start."""
    case.kills = 1
    case.closed = True
    before = arena.store.held()
    yield from _outage(arena, case, arena.postgresql, signal.SIGQUIT)
    case.in_flight = len(before)
    case.deaths = [case.began, time.monotonic()]


def connections(arena: Arena, case: Case) -> Iterator[float]:
    """Every connection to PostgreSQL terminated at once."""
    case.closed = True
    ended = arena.store.end_connections()
    case.reached = ended > 0
    case.told = f"{ended} connections"
    yield 0.0


def quota_cut(arena: Arena, case: Case) -> Iterator[float]:
    """Google allows far less than it was thought to, and says so by 429."""
    before = arena.google.refusals()
    arena.google.cut_quota(calls=2, seconds=1.0)
    yield CUT_SECONDS
    refused = reached(case, lambda: arena.google.refusals() - before)
    arena.google.usual()
    case.told = f"{refused} calls refused"


def _kill(arena: Arena, case: Case, replica: Replica | None) -> Iterator[float]:
    if replica is None:
        return
    arena.fleet.kill(replica)
    case.deaths = [time.monotonic()]
    case.kills = 1
    case.in_flight = len(arena.store.eventually(lambda store: store.held(replica.service.pid)))
    case.reached = True
    case.told = f"replica {replica.number} with {case.in_flight} tasks"
    yield arena.random.uniform(*DEAD_SECONDS)
    arena.fleet.restart(replica)


def _zombie(arena: Arena, case: Case, replica: Replica | None) -> Iterator[float]:
    if replica is None:
        return
    arena.fleet.freeze(replica)
    frozen = time.monotonic()
    case.in_flight = len(arena.store.eventually(lambda store: store.held(replica.service.pid)))
    yield arena.random.uniform(*FROZEN_SECONDS)
    arena.fleet.thaw(replica)
    case.deaths = [frozen, time.monotonic()]
    case.reached = replica.alive
    case.told = f"replica {replica.number} with {case.in_flight} tasks for {case.deaths[1] - frozen:.0f} s"


def any_broker(arena: Arena) -> Server:
    return arena.random.choice([broker for broker in arena.brokers if broker.service.alive])


def _outage(
    arena: Arena,
    case: Case,
    server: Server,
    number: signal.Signals,
    seconds: tuple[float, float] = AWAY_SECONDS,
) -> Iterator[float]:
    case.outage = True
    pid = server.service.pid
    server.signal(number)
    yield arena.random.uniform(*seconds)
    case.restored = time.monotonic()
    server.start()
    case.reached = server.service.pid != pid
    case.told = f"{server.service.name} away for {time.monotonic() - case.began:.1f} s"


DISTURBANCES: dict[str, Disturbance] = {
    "kill": kill,
    "kill-publisher": kill_publisher,
    "kill-scheduler": kill_scheduler,
    "terminate": terminate,
    "zombie": zombie,
    "zombie-publisher": zombie_publisher,
    "kafka-stop": kafka_stop,
    "kafka-kill": kafka_kill,
    "broker-away": broker_away,
    "postgresql-stop": postgresql_stop,
    "connections": connections,
    "quota-cut": quota_cut,
}
