"""A tenant's work at a glance: API, console and CLI show what it answers."""

from sqlalchemy import RowMapping

from app.models.overview import ActivityMinute, OldestWaiting, Overview, TokenlessJob, Unpublished, WaitingJob
from app.store.activity import MINUTE, Activity, read_activity
from app.store.database import Database, Transaction
from app.store.job_view import error_of, moment
from app.store.letters import count_causes
from app.store.outbox import lag_of
from app.store.overview import jobs_by_state_of, oldest_waiting_of, tokenless_jobs_of, waiting_jobs_of
from app.store.redrive import MAX_REDRIVES

MINUTES_SHOWN = 60
MINUTES_AVERAGED = 5


class Overviews:
    """`publishes`: whether reviews go to a topic. `max_redrives`: after how many dead work is parked."""

    def __init__(self, database: Database, *, publishes: bool, max_redrives: int = MAX_REDRIVES) -> None:
        self._database = database
        self._publishes = publishes
        self._max_redrives = max_redrives

    async def of(self, tenant: str) -> Overview:
        """As of now, from one short read."""
        return await self._database.read(_read, tenant, self._publishes, self._max_redrives)


def _read(transaction: Transaction, tenant: str, publishes: bool, max_redrives: int) -> Overview:
    activity = _activity(transaction, tenant)
    full = activity[-1 - MINUTES_AVERAGED : -1]
    return Overview(
        jobs=jobs_by_state_of(transaction, tenant),
        activity=activity,
        reviews_per_minute=sum(minute.reviews for minute in full) / len(full),
        oldest_waiting=_oldest_waiting(transaction, tenant),
        waiting_jobs=[_waiting_job(row) for row in waiting_jobs_of(transaction, tenant)],
        needs_token=[_tokenless_job(row) for row in tokenless_jobs_of(transaction, tenant)],
        dead_letters=count_causes(transaction, tenant, None, max_redrives).causes,
        unpublished=_unpublished(transaction, tenant) if publishes else None,
        generated_at=moment(transaction.now),
    )


def _activity(transaction: Transaction, tenant: str) -> list[ActivityMinute]:
    """Minutes without a row are minutes in which nothing was done."""
    last = int(transaction.now // MINUTE)
    first = last - MINUTES_SHOWN + 1
    done = read_activity(transaction, tenant, first, last)
    return [_minute(done.get(minute) or Activity(tenant, minute)) for minute in range(first, last + 1)]


def _minute(done: Activity) -> ActivityMinute:
    return ActivityMinute(
        minute=moment(done.minute * MINUTE), reviews=done.reviews, calls=done.calls, throttled=done.throttled
    )


def _oldest_waiting(transaction: Transaction, tenant: str) -> OldestWaiting | None:
    waits = oldest_waiting_of(transaction, tenant)
    if waits is None:
        return None
    seconds = round(max(0.0, transaction.now - waits.since), 3)
    return OldestWaiting.model_validate(waits._asdict() | {"since": moment(waits.since), "seconds": seconds})


def _waiting_job(row: RowMapping) -> WaitingJob:
    return WaitingJob(job_id=row["id"], reason=row["waiting_reason"] or "waiting", until=moment(row["waiting_until"]))


def _tokenless_job(row: RowMapping) -> TokenlessJob:
    return TokenlessJob(job_id=row["id"], since=moment(row["updated_at"]), error=error_of(row))


def _unpublished(transaction: Transaction, tenant: str) -> Unpublished:
    waiting = lag_of(transaction, tenant)
    return Unpublished(reviews=waiting.reviews, seconds=round(waiting.seconds, 3))
