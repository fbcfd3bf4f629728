"""Several processes of the service on one PostgreSQL and one Kafka, before one simulated Google."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.clients import assert_all_walked
from tests.support.service import ROOT, Service, Site, eventually, site
from tests.support.simulator import control, simulator_process
from tests.support.stack import Stack

LATENCY_SECONDS = 0.1
"""Of each of Google's answers: long enough that something is under way at any moment."""


def published(stack: Stack) -> bool:
    """Whether the publisher has nothing left to send."""
    return not asyncio.run(stack.anything_waits())


def started(place: Site, *roles: str) -> list[Service]:
    """A process for each of `roles` ("" = all), begun together."""
    processes = [place.launch(**({"ROLES": names} if names else {})) for names in roles]
    return [process.started() for process in processes]


@dataclass
class Deployment:
    """`replicas` are all alike, and may be replaced."""

    stack: Stack
    google: str
    place: Site
    replicas: list[Service]

    def assert_all_walked(self, accepted: Mapping[str, str]) -> None:
        """Google is quick again; each job (id → token) completes with all its reviews, and all replicas are ready."""
        control(self.google, "PUT", "faults", {"rules": []})
        assert_all_walked(self.replicas[0], self.google, accepted)
        eventually(lambda: published(self.stack), 30, "an empty outbox")
        for replica in self.replicas:
            assert replica.get("/readyz").status == 200

    def terminate(self) -> None:
        for replica in self.replicas:
            replica.terminate()


@contextmanager
def deployed(stack: Stack, replicas: int, program: Path = ROOT) -> Iterator[Deployment]:
    """So many replicas of a checkout, while Google is slow. Whoever is still there at the end is ended."""
    with ExitStack() as opened:
        google = opened.enter_context(simulator_process())
        control(google, "PUT", "faults", {"rules": [{"fault": "latency", "seconds": LATENCY_SECONDS}]})
        place = opened.enter_context(site(stack.directory, google, **stack.environment))
        place.program = program
        yield Deployment(stack, google, place, started(place, *[""] * replicas))
