"""What the workers tell is counted for the tenant whose task it was."""

from typing import Any, cast

from app.google.errors import ErrorKind
from app.limits.permits import Api
from app.models.job import TaskStatus
from app.models.settlement import Move, Settled, Settlement
from app.observing import WalkObserver
from app.telemetry.metrics import Metrics
from tests.support.clock import ManualClock
from tests.unit.pipeline.stage import error, held


class Noted:
    """In place of the log of activity."""

    def __init__(self) -> None:
        self.added: list[tuple[str, dict[str, int]]] = []

    def add(self, tenant: str, **done: int) -> None:
        self.added.append((tenant, done))


def observed() -> tuple[WalkObserver, Noted]:
    noted = Noted()
    return WalkObserver(Metrics(ManualClock()), cast(Any, noted)), noted


def test_calls_count_for_their_tenant_and_those_that_google_throttles_are_told_apart() -> None:
    observer, noted = observed()
    observer.called(held(tenant="one"), Api.REVIEWS, None, 0.1)
    observer.called(held(tenant="two"), Api.REVIEWS, error(ErrorKind.TRANSIENT, 503), 0.1)
    observer.called(held(tenant="two"), Api.REVIEWS, error(ErrorKind.THROTTLED, 429), 0.1)
    assert noted.added == [
        ("one", {"calls": 1, "throttled": 0}),
        ("two", {"calls": 1, "throttled": 0}),
        ("two", {"calls": 1, "throttled": 1}),
    ]


def test_only_reviews_that_were_new_count_and_a_dropped_page_has_none() -> None:
    observer, noted = observed()
    page = Settlement(held(tenant="one"), Move(TaskStatus.HELD), page=True)
    observer.settled(page, Settled(Move(TaskStatus.HELD), new_reviews=7, duplicates=3), 0.1)
    observer.settled(page, Settled(Move(TaskStatus.HELD), duplicates=10), 0.1)
    observer.settled(page, Settled(None), 0.1)
    assert noted.added == [("one", {"reviews": 7})]
