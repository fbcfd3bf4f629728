"""Why a job was not accepted. The docstring is what the caller reads."""

from collections.abc import Sequence

from app.models.limits import LimitState, Refusal


class BufferFullError(Exception):
    """Too many jobs are waiting to be accepted. Send the request again after the seconds in Retry-After."""


class StoppingError(Exception):
    """The service is stopping and takes no new jobs. Send the request again after the seconds in Retry-After."""


class NotAnsweredError(Exception):
    """The store has not answered in time, so whether the job was accepted is not known. Send the request again after
    the seconds in Retry-After, with the same Idempotency-Key if it had one: then it cannot become a second job."""


class SubmitLimitError(Exception):
    """This tenant submits more than it may. Send the request again after the seconds in Retry-After."""

    def __init__(self, refusal: Refusal, limits: Sequence[LimitState]) -> None:
        super().__init__(refusal.reason)
        self.retry_after = refusal.retry_after
        self.limits = tuple(limits)
