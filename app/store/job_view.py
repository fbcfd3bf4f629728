"""A row of `jobs` as people see it."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping

from app.models.job import NO_TOKEN_YET, RUNNING, JobStatus
from app.models.views import (
    AccountsProgress,
    JobView,
    LocationsProgress,
    ProblemView,
    Progress,
    ReviewsProgress,
    TasksProgress,
    TokenView,
    Waiting,
)


def job_view(row: RowMapping, now: float) -> JobView:
    """The job as of `now`, the database's time: a wait that is over is none."""
    waiting = _waiting(row, now)
    error = error_of(row)
    return JobView(
        job_id=row["id"],
        status=row["status"],
        message=_message(row, waiting, error),
        created_at=moment(row["created_at"]),
        updated_at=moment(row["updated_at"]),
        finished_at=None if row["finished_at"] is None else moment(row["finished_at"]),
        progress=_progress(row),
        waiting=waiting,
        error=error,
        token=_token(row, now),
    )


def _token(row: RowMapping, now: float) -> TokenView | None:
    expires_at, refreshable = row["token_expires_at"], bool(row["token_refreshable"])
    if expires_at is None:
        return TokenView(expires_at=None, refreshable=True) if refreshable else None
    left = None if row["status"] in _WIPED else max(0, int(expires_at - now))
    return TokenView(expires_at=moment(expires_at), seconds_left=left, refreshable=refreshable)


_WIPED = (JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED)
"""Jobs whose token is gone."""


def moment(seconds: float) -> datetime:
    """Seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def _progress(row: RowMapping) -> Progress:
    return Progress(
        accounts=AccountsProgress(found=row["accounts_found"], done=row["accounts_done"]),
        locations=LocationsProgress(
            found=row["locations_found"], done=row["locations_done"], unavailable=row["locations_unavailable"]
        ),
        reviews=ReviewsProgress(
            fetched=row["reviews_fetched"], duplicates=row["reviews_duplicates"], expected=row["reviews_expected"]
        ),
        calls=row["calls"],
        tasks=TasksProgress(open=row["tasks_open"], done=row["tasks_done"], dead=row["tasks_dead"]),
    )


def _waiting(row: RowMapping, now: float) -> Waiting | None:
    until = row["waiting_until"]
    if row["status"] not in RUNNING or until is None or until <= now:
        return None
    return Waiting(reason=row["waiting_reason"] or "waiting", until=moment(until))


def error_of(row: RowMapping) -> ProblemView | None:
    """Why the job failed, or needs a token."""
    if row["error_type"] is None:
        return None
    title = title_of(row["error_type"])
    return ProblemView(
        type=row["error_type"], title=title, status=row["error_status"], detail=row["error_detail"] or title
    )


def title_of(cause: str) -> str:
    """A cause in a few words, from the machine's word for it."""
    return cause.replace("_", " ").capitalize().replace("Http ", "HTTP ")


def _message(row: RowMapping, waiting: Waiting | None, error: ProblemView | None) -> str:
    if waiting is not None:
        what = "an access token" if waiting.reason.startswith(NO_TOKEN_YET) else "Google quota"
        return f"Waiting for {what} until {waiting.until:%H:%M:%S} UTC: {waiting.reason}"
    sentence = _SENTENCES[JobStatus(row["status"])].format_map(_Counted(row))
    return sentence if error is None else f"{sentence} {error.detail}"


class _Counted(dict[str, Any]):
    """Numbers as people read them: 1,234."""

    def __init__(self, row: RowMapping) -> None:
        super().__init__({key: f"{value:,}" if isinstance(value, int) else value for key, value in row.items()})


_SO_FAR = "{reviews_fetched} reviews of {locations_found} locations"

_SENTENCES = {
    JobStatus.PENDING: "Accepted; the first call of Google is still to come.",
    JobStatus.PROCESSING: "Fetching: " + _SO_FAR + " so far, {locations_done} locations done.",
    JobStatus.PAUSED: "Paused with " + _SO_FAR + ". Resume it to go on.",
    JobStatus.NEEDS_TOKEN: "Waiting for a new access token, with " + _SO_FAR + " fetched.",
    JobStatus.COMPLETED: "Completed: " + _SO_FAR + ", {locations_unavailable} locations unavailable.",
    JobStatus.FAILED: "Failed, with " + _SO_FAR + " fetched.",
    JobStatus.DLQ: "Finished with " + _SO_FAR + ", but {tasks_dead} tasks were given up: see the dead letters.",
    JobStatus.CANCELLED: "Cancelled, with " + _SO_FAR + " fetched.",
}
