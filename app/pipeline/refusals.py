"""What a worker makes of a `GoogleAPIError`, for the cases that all stages share (DESIGN "Errors of Google")."""

from app.google.errors import GoogleAPIError
from app.models.job import HeldTask, Problem, Stage, TaskStatus
from app.models.settlement import Move
from app.pipeline.outcome import Advance, DeadLetter, Outcome, Snooze


def problem_of(error: GoogleAPIError) -> Problem:
    """The error in the words that people and machines get to see."""
    return Problem(error.reason, error.message, error.status)


def token_refused(task: HeldTask, error: GoogleAPIError, now: float) -> Outcome:
    """Before any page settled, the token was wrong from the start; later, it ran out, and a new one goes on here."""
    if task.pages_settled == 0:
        problem = Problem("invalid_token", f"Google refused the access token. {error.message}", error.status)
        return DeadLetter(problem, fails_job=True, of_token=True)
    detail = f"The access token is no longer accepted; send a new one to go on. {error.message}"
    return Snooze(now, token_problem=Problem("token_expired", detail, error.status))


def start_again(task: HeldTask, error: GoogleAPIError) -> Outcome | None:
    """The list starts again, once: what is known already is recognised. The second time: None, the stage decides.

    That a list of accounts or locations brings nothing new for as many pages as before is no circle.
    """
    if task.restarts:
        return None
    walk = task.walk if task.stage is Stage.REVIEWS else -task.pages
    return Advance(Move(TaskStatus.HELD, restarts=1, walk=walk, error=problem_of(error)), page=False)
