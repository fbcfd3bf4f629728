"""What the read side and the control of jobs refuse; each message says what to do instead."""

from collections.abc import Collection


class JobNotFoundError(LookupError):
    """There is no job with this id. Check the id; a job is seen only by the tenant that submitted it."""

    def __init__(self) -> None:
        super().__init__(JobNotFoundError.__doc__)


class DeadLetterNotFoundError(LookupError):
    """There is no dead letter with this id. Check the id; it is seen only by the tenant of its job."""

    def __init__(self) -> None:
        super().__init__(DeadLetterNotFoundError.__doc__)


class WebhookNotFoundError(LookupError):
    """This job has no message with this id. Check the id; the job's webhooks are listed at …/webhooks."""

    def __init__(self) -> None:
        super().__init__(WebhookNotFoundError.__doc__)


class ErasureNotFoundError(LookupError):
    """There is no erasure with this id. Check the id; it is seen only by the tenant that ordered it."""

    def __init__(self) -> None:
        super().__init__(ErasureNotFoundError.__doc__)


class JobNotEndedError(Exception):
    """The job has not ended, so it cannot be erased. Cancel it first."""

    def __init__(self, status: str) -> None:
        super().__init__(f"The job is {status}: cancel it first, then erase it.")


class KeyNotFoundError(LookupError):
    """There is no API key with this id. An id is the part of a key between its underscores; a key is seen only by its
    tenant."""

    def __init__(self) -> None:
        super().__init__(" ".join((KeyNotFoundError.__doc__ or "").split()))


class KeyEndedError(Exception):
    """The API key has ended, or was rotated before. Use the key that replaced it, or make a new one."""

    def __init__(self, why: str) -> None:
        super().__init__(f"This API key {why}. Use the key that replaced it, or make a new one.")


class BadCursorError(ValueError):
    """This cursor is not one of this listing. Start without a cursor, and pass `next_cursor` on unchanged."""

    def __init__(self) -> None:
        super().__init__(BadCursorError.__doc__)


class TooManyStreamsError(Exception):
    """This process serves as many streams of events as it can, or is stopping. Come back after Retry-After seconds;
    the last event's id goes on where this one would."""


class IllegalTransitionError(Exception):
    """The state of the job does not allow this action. `possible` names the actions it does allow."""

    def __init__(self, status: str, action: str, possible: Collection[str]) -> None:
        self.status = status
        self.action = action
        self.possible = tuple(possible)
        allowed = f"Possible now: {', '.join(possible)}." if possible else "Nothing can be done to it any more."
        super().__init__(f"The job is {status}, which does not allow the action {action}. {allowed}")
