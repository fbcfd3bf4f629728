"""What the workers tell is counted for the tenant whose task it was."""

from typing import Any, cast

from app.google.errors import ErrorKind
from app.limits.permits import LONGEST_WAIT_SECONDS, Api
from app.limits.views import BudgetView, WindowView
from app.models.job import JobStatus, TaskStatus
from app.models.settlement import Move, Settled, Settlement
from app.observing import WalkObserver, scarcest, spent_projects
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


def budget(project: str, left: float, next_call_at: float | None) -> BudgetView:
    windows = (WindowView("minute", 300, 300 - left, left, None),)
    return BudgetView(project, "reviews", windows, (), None, next_call_at, None)


def test_a_budget_is_spent_when_a_worker_would_not_wait_for_it() -> None:
    soon, later = 100.0 + LONGEST_WAIT_SECONDS, 101.0 + LONGEST_WAIT_SECONDS
    budgets = [budget("open", 5, None), budget("soon", 0, soon), budget("spent", 0, later)]
    assert spent_projects(budgets, 100.0) == {"reviews": {"spent"}}


def test_of_several_projects_the_one_with_least_left_is_told() -> None:
    found = scarcest([budget("one", 20, None), budget("two", 5, None), budget("three", 60, None)])
    assert found["reviews", "minute"].left == 5


def test_a_job_that_ends_is_timed_from_its_submission() -> None:
    observer, _ = observed()
    page = Settlement(held(), Move(TaskStatus.DONE), page=True)
    observer.settled(page, Settled(Move(TaskStatus.DONE), job_ended=JobStatus.COMPLETED, ended_after=12.5), 0.1)
    text = observer._metrics.render().decode()
    assert 'review_fetcher_job_seconds_sum{status="completed"} 12.5' in text
