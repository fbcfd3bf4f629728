"""From the outcome of a step to what the store writes. Pure: it decides, `app.store.settle` does."""

from dataclasses import dataclass
from typing import assert_never

from app.limits.cooldown import LONGEST_SECONDS
from app.models.job import HeldTask, LocationState, Stage, TaskStatus
from app.models.settlement import LocationEnd, Move, Settlement
from app.pipeline.outcome import Advance, DeadLetter, Outcome, Retry, Snooze, Spent
from app.retry.policy import ExponentialBackoffPolicy

MILLISECOND = 0.001

LONGEST_DELAY_SECONDS = 10.0
"""A task that waits is due again after this, however long its wait is expected to last: the scheduler keeps it back by
what holds then, another limit or another token (`app.store.release`)."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What a decision depends on besides the outcome: the policy, the time (epoch seconds), whether to make room.

    `yields`: the holder stops after this page, because others wait or the process stops; the task goes back.
    """

    policy: ExponentialBackoffPolicy
    now: float
    yields: bool = False


def settlement_of(task: HeldTask, outcome: Outcome, spent: Spent, situation: Situation) -> Settlement:
    """What to write for this end of a step."""
    settlement = _settlement(task, outcome, situation)
    settlement.calls = spent.calls
    settlement.project = spent.project
    settlement.token_expires_at = spent.token_expires_at
    return settlement


def _settlement(task: HeldTask, outcome: Outcome, situation: Situation) -> Settlement:
    match outcome:
        case Advance():
            return _advance(task, outcome, situation)
        case Snooze():
            return _snooze(task, outcome, situation)
        case Retry():
            return _retry(task, outcome, situation)
        case DeadLetter():
            return _dead(task, outcome)
    assert_never(outcome)


def _advance(task: HeldTask, outcome: Advance, situation: Situation) -> Settlement:
    again = outcome.again
    return Settlement(
        task,
        _make_room(outcome.move, situation),
        page=outcome.page,
        accounts=outcome.accounts,
        locations=outcome.locations,
        reviews=outcome.reviews,
        given_up=outcome.given_up,
        total=outcome.total,
        average=outcome.average,
        location_end=outcome.location_end,
        try_other_account=outcome.try_other_account,
        again=None if again is None else lambda new: _make_room_at_end(again(new), situation),
    )


def _make_room_at_end(ended: tuple[Move, LocationEnd | None], situation: Situation) -> tuple[Move, LocationEnd | None]:
    move, end = ended
    return _make_room(move, situation), end


def _make_room(move: Move, situation: Situation) -> Move:
    if move.status is not TaskStatus.HELD or not situation.yields:
        return move
    return Move(TaskStatus.WAITING, move.cursor, move.walk, move.pages, move.restarts, move.missing)


def stay(task: HeldTask, status: TaskStatus, **changes: object) -> Move:
    """A move that keeps the task's place: the same page again."""
    values: dict[str, object] = {
        "cursor": task.cursor,
        "walk": task.walk,
        "pages": task.pages,
        "restarts": task.restarts,
        "missing": task.missing,
        "attempt": task.attempt,
    }
    return Move(status, **(values | changes))  # type: ignore[arg-type] # the names above are Move's own


def _snooze(task: HeldTask, outcome: Snooze, situation: Situation) -> Settlement:
    seconds = max(0.0, outcome.until - situation.now)
    return Settlement(
        task,
        stay(task, TaskStatus.WAITING, delay=min(seconds, LONGEST_DELAY_SECONDS)),
        waiting=(outcome.reason, seconds) if outcome.reason else None,
        token_problem=outcome.token_problem,
    )


def _retry(task: HeldTask, outcome: Retry, situation: Situation) -> Settlement:
    if not situation.policy.should_retry(task.attempt):
        return _dead(task, DeadLetter(outcome.problem))
    backoff = situation.policy.get_backoff_ms(task.attempt) * MILLISECOND
    delay = max(backoff, min(outcome.after or 0.0, LONGEST_SECONDS))
    move = stay(task, TaskStatus.WAITING, delay=delay, attempt=task.attempt + 1, error=outcome.problem)
    return Settlement(task, move)


def _dead(task: HeldTask, outcome: DeadLetter) -> Settlement:
    return Settlement(
        task,
        stay(task, TaskStatus.DEAD, attempt=task.attempt + 1, error=outcome.problem),
        location_end=LocationEnd(LocationState.DEAD, outcome.problem.type) if task.stage is Stage.REVIEWS else None,
        job_problem=outcome.problem if outcome.fails_job else None,
        unless_token_replaced=stay(task, TaskStatus.WAITING) if outcome.of_token else None,
        try_other_account=outcome.try_other_account,
    )
