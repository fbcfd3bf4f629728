"""Everything a disturbance can reach, and the note that is kept of each."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from chaos.fleet import Fleet
from chaos.google import Google
from chaos.servers import Server, addresses
from chaos.store import Store


@dataclass
class Arena:
    """`stopped` are the seconds of each SIGTERM to its exit; `poison` the keys of what was sent to the work topics."""

    fleet: Fleet
    brokers: list[Server]
    postgresql: Server
    store: Store
    google: Google
    random: Random
    stopped: list[float] = field(default_factory=list)
    poison: list[str] = field(default_factory=list)

    @property
    def servers(self) -> str:
        """Kafka's addresses."""
        return addresses(self.brokers)


@dataclass
class Case:
    """One disturbance, as it went. Times are the machine's monotonic clock.

    `reached`: it met what it was to disturb; `failed` says what kept it from its end. `in_flight`: pages that were
    held by who died. `deaths`: when somebody died who may have held pages. `outage`: a server was away from `began`
    on, until work went on again or until `replaced`, when others have had time to take its place; from then until
    `restored`, when it was started again, work had to go on without it. `closed`: nobody could accept a job
    meanwhile. `recovered`: seconds from the end of its round until work went on; None when it never did.
    """

    name: str
    began: float = 0.0
    ended: float = 0.0
    reached: bool = False
    failed: str = ""
    told: str = ""
    kills: int = 0
    in_flight: int = 0
    deaths: list[float] = field(default_factory=list)
    outage: bool = False
    replaced: float | None = None
    restored: float | None = None
    closed: bool = False
    recovered: float | None = None


LOOK_SECONDS = 0.1
REACH_SECONDS = 20.0


def reached(case: Case, count: Callable[[], int]) -> int:
    """What a lasting disturbance has achieved; it goes on until that is something, if an outage kept it from it."""
    deadline = time.monotonic() + REACH_SECONDS
    while not (achieved := count()) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    case.reached = achieved > 0
    return achieved


Disturbance = Callable[[Arena, Case], Iterator[float]]
"""Begins, yields how many seconds it wants to last, and ends: what it ended answers again when it returns."""
