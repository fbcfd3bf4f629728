"""A server that goes away is told so that its absence can be judged."""

import signal
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from chaos.arena import Arena, Case
from chaos.disturbances import REPLACED_SECONDS, broker_away


@dataclass
class Broker:
    """Stands for a server: gone after the signal, another process after the start."""

    told: list[Any] = field(default_factory=list)
    service: Any = field(default_factory=lambda: SimpleNamespace(alive=True, pid=1, name="kafka-1"))

    def signal(self, number: signal.Signals) -> None:
        self.told.append(number)

    def start(self) -> None:
        self.told.append("start")
        self.service.pid = 2


class Chosen:
    """Stands for the random of a run."""

    def choice(self, brokers: list[Broker]) -> Broker:
        return brokers[0]

    def uniform(self, least: float, _most: float) -> float:
        return least


def test_the_time_in_which_work_goes_on_without_a_broker_ends_before_its_start() -> None:
    broker = Broker()
    case = Case("broker-away", began=100.0)
    steps = broker_away(cast(Arena, SimpleNamespace(brokers=[broker], random=Chosen())), case)
    assert next(steps) >= 2 * REPLACED_SECONDS
    assert (broker.told, case.restored) == ([signal.SIGKILL], None)
    assert next(steps, None) is None
    assert case.replaced == 100.0 + REPLACED_SECONDS
    assert case.restored is not None
    assert case.reached
    assert case.outage
