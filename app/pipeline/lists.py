"""What lists have in common: the next page, tokens that loop, and answers worth a second look."""

from collections.abc import Callable
from dataclasses import replace

from app.google.errors import GoogleAPIError
from app.models.job import HeldTask, Problem, TaskStatus
from app.models.settlement import GivenUp, Move
from app.pipeline.outcome import Advance
from app.pipeline.refusals import problem_of
from app.pipeline.settle import MILLISECOND, stay
from app.retry.policy import ExponentialBackoffPolicy

MOST_PAGES = 10_000
"""Of accounts, or of one account's locations: a million locations. More is Google's page tokens going in circles."""

MOST_BARREN_PAGES = 100
"""In a row that held nothing which the job did not know: empty ones, or the same again under other page tokens."""

_LOOP = Problem(
    "page_token_loop",
    "Google's page tokens go in circles, or to page after page without news: the list cannot be read to its end.",
)


def after_page(task: HeldTask, next_token: str | None) -> Move:
    """On to the next page, or done; a list that loops must not pass for complete, and keeps what this page holds."""
    if next_token is None:
        return Move(TaskStatus.DONE, pages=task.pages + 1)
    if next_token == task.cursor or task.pages >= MOST_PAGES:
        return _looping(task)
    return Move(TaskStatus.HELD, next_token, walk=task.walk, pages=task.pages + 1, restarts=task.restarts)


def _looping(task: HeldTask) -> Move:
    return stay(task, TaskStatus.DEAD, attempt=task.attempt + 1, error=_LOOP)


def unless_barren(task: HeldTask, move: Move) -> Callable[[int], tuple[Move, None]]:
    """The same, once it is known how many of the page's items the job did not know. `HeldTask.walk` counts for it."""

    def decide(new: int) -> tuple[Move, None]:
        if move.status is not TaskStatus.HELD:
            return move, None
        if new:
            return replace(move, walk=min(task.walk, 0)), None
        if task.walk >= MOST_BARREN_PAGES:
            return _looping(task), None
        return replace(move, walk=task.walk + 1), None

    return decide


def nameless(task: HeldTask, odd: int) -> list[GivenUp]:
    """Items of the page without a name that could be asked for: told, while the others are walked."""
    if not odd:
        return []
    detail = f"{odd} items of Google's list had no usable name: nothing was guessed, the others were walked."
    return [GivenUp("item", f"{task.resource}, page {task.pages + 1}", "unknown_shape", detail)]


def look_again(task: HeldTask, error: GoogleAPIError, policy: ExponentialBackoffPolicy) -> Advance:
    """The same page once more, a little later, without spending an attempt."""
    delay = policy.get_backoff_ms(0) * MILLISECOND
    move = stay(task, TaskStatus.WAITING, missing=task.missing + 1, delay=delay, error=problem_of(error))
    return Advance(move, page=False)
