"""What may be done to a job in which state, and where that leads. `docs/states.md` shows this table."""

from collections.abc import Mapping
from enum import StrEnum

from app.models.errors import IllegalTransitionError
from app.models.job import JobStatus


class JobAction(StrEnum):
    """What people do to a job."""

    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    REPLACE_TOKEN = "replace_token"  # noqa: S105 - an action
    REDRIVE = "redrive"


TRANSITIONS: Mapping[JobAction, Mapping[JobStatus, tuple[JobStatus, ...]]] = {
    JobAction.CANCEL: {
        JobStatus.PENDING: (JobStatus.CANCELLED,),
        JobStatus.PROCESSING: (JobStatus.CANCELLED,),
        JobStatus.PAUSED: (JobStatus.CANCELLED,),
        JobStatus.NEEDS_TOKEN: (JobStatus.CANCELLED,),
    },
    JobAction.PAUSE: {
        JobStatus.PENDING: (JobStatus.PAUSED,),
        JobStatus.PROCESSING: (JobStatus.PAUSED,),
    },
    JobAction.RESUME: {
        JobStatus.PAUSED: (JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.NEEDS_TOKEN),
    },
    JobAction.REPLACE_TOKEN: {
        JobStatus.PENDING: (JobStatus.PENDING,),
        JobStatus.PROCESSING: (JobStatus.PROCESSING,),
        JobStatus.PAUSED: (JobStatus.PAUSED,),
        JobStatus.NEEDS_TOKEN: (JobStatus.PROCESSING,),
        JobStatus.DLQ: (JobStatus.DLQ,),
    },
    JobAction.REDRIVE: {
        JobStatus.PENDING: (JobStatus.PENDING,),
        JobStatus.PROCESSING: (JobStatus.PROCESSING,),
        JobStatus.PAUSED: (JobStatus.PAUSED,),
        JobStatus.NEEDS_TOKEN: (JobStatus.NEEDS_TOKEN,),
        JobStatus.DLQ: (JobStatus.PROCESSING, JobStatus.NEEDS_TOKEN),
    },
}
"""Action → state it is possible in → the states it may lead to. Several: `resume` leads back to `pending` when nothing
was called yet, and as `redrive` of a `dlq` job does, to `needs_token` when the token was wiped meanwhile."""


def possible(status: JobStatus) -> tuple[JobAction, ...]:
    """The actions that a state allows."""
    return tuple(action for action, states in TRANSITIONS.items() if status in states)


def require(status: JobStatus, action: JobAction) -> None:
    """Raises IllegalTransitionError when the state does not allow the action."""
    if status not in TRANSITIONS[action]:
        raise IllegalTransitionError(status, action, possible(status))
