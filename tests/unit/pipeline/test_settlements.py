"""How a step ends, and what is written for it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.job import Problem, TaskStatus
from app.models.settlement import LocationEnd, Move, Settlement
from app.pipeline.outcome import Advance, DeadLetter, Outcome, Retry, Snooze, Spent
from app.pipeline.settle import LONGEST_DELAY_SECONDS, Situation, settlement_of
from app.retry.policy import ExponentialBackoffPolicy
from tests.unit.pipeline.stage import NOW, held

PROBLEM = Problem("http_503", "Google answered 503.", 503)
POLICY = ExponentialBackoffPolicy(random=lambda: 0.0)


def settled(outcome: Outcome, *, yields: bool = False, **situation: Any) -> Settlement:
    return settlement_of(held(**situation), outcome, Spent(calls=1), Situation(POLICY, NOW, yields))


@pytest.mark.parametrize(
    ("outcome", "attempt"),
    [
        (Advance(Move(TaskStatus.HELD, "p2")), 0),
        (Snooze(NOW + 5, "quota"), 2),
        (Retry(PROBLEM), 3),
        (DeadLetter(PROBLEM), 3),
    ],
)
def test_only_a_retry_and_the_last_failure_count_an_attempt(outcome: Outcome, attempt: int) -> None:
    assert settled(outcome, attempt=2).move.attempt == attempt


@given(attempt=st.integers(0, 6), until=st.floats(0, LONGEST_DELAY_SECONDS))
def test_a_snooze_never_counts(attempt: int, until: float) -> None:
    move = settled(Snooze(NOW + until, "quota"), attempt=attempt, cursor="p2", pages=4, walk=1, restarts=1).move
    assert (move.status, move.attempt, move.cursor) == (TaskStatus.WAITING, attempt, "p2")
    assert (move.pages, move.walk, move.restarts) == (4, 1, 1)
    assert move.delay == pytest.approx(until, abs=1e-6)


def test_a_snooze_until_a_moment_that_has_passed_is_due_at_once() -> None:
    assert settled(Snooze(NOW - 5, "quota")).move.delay == 0.0


def test_a_long_wait_is_told_in_full_and_what_it_waited_for_is_looked_at_before() -> None:
    settlement = settled(Snooze(NOW + 80_000, "the day is spent"))
    assert settlement.waiting == ("the day is spent", 80_000.0)
    assert settlement.move.delay == LONGEST_DELAY_SECONDS


def test_a_snooze_without_a_reason_tells_people_nothing() -> None:
    assert settled(Snooze(NOW)).waiting is None
    assert settled(Snooze(NOW + 1, "quota")).waiting == ("quota", 1.0)


def test_a_task_that_makes_room_goes_to_the_back_with_its_place_kept() -> None:
    move = settled(Advance(Move(TaskStatus.HELD, "p2", walk=1, pages=3, restarts=1)), yields=True).move
    assert move == Move(TaskStatus.WAITING, "p2", walk=1, pages=3, restarts=1)


@pytest.mark.parametrize("status", [TaskStatus.DONE, TaskStatus.DEAD, TaskStatus.WAITING])
def test_a_task_that_ends_has_no_room_to_make(status: TaskStatus) -> None:
    assert settled(Advance(Move(status)), yields=True).move == Move(status)


def test_a_second_look_makes_room_too() -> None:
    again = settled(Advance(Move(TaskStatus.DONE), again=_second_look), yields=True).again
    assert again is not None
    move, end = again(0)
    assert (move.status, move.walk, end) == (TaskStatus.WAITING, 1, None)


def _second_look(new: int) -> tuple[Move, LocationEnd | None]:
    return Move(TaskStatus.HELD, walk=1), None


def test_what_was_learned_on_the_way_is_kept_however_the_step_ends() -> None:
    spent = Spent(calls=2, project="project-1", token_expires_at=NOW + 3600)
    for outcome in (Advance(Move(TaskStatus.DONE)), Snooze(NOW), Retry(PROBLEM), DeadLetter(PROBLEM)):
        settlement = settlement_of(held(), outcome, spent, Situation(POLICY, NOW))
        learned = (settlement.calls, settlement.project, settlement.token_expires_at)
        assert learned == (2, "project-1", NOW + 3600)
