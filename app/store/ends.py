"""How a job ends, or is parked: its state, its reason, and what becomes of its token."""

from sqlalchemy import delete, update

from app.models.job import RUNNING, JobStatus, Problem
from app.store.database import Transaction
from app.store.schema import credentials, jobs, status_in
from app.store.webhooks import tell_callback


def finish_job(transaction: Transaction, job_id: str, dead: int, token_wait: float) -> JobStatus:
    """No task is open any more: `completed`, or `dlq` when some are dead. A `dlq` job keeps its token for a while."""
    status = JobStatus.DLQ if dead else JobStatus.COMPLETED
    end_job(transaction, job_id, status, None)
    if status is JobStatus.COMPLETED:
        wipe_token(transaction, job_id)
    else:
        transaction.connection.execute(
            update(credentials).where(credentials.c.job_id == job_id).values(wipe_after=transaction.now + token_wait)
        )
    return status


def fail_job(transaction: Transaction, job_id: str, problem: Problem) -> JobStatus:
    """The job cannot go on; what it has fetched stays. Its waiting tasks are swept later."""
    end_job(transaction, job_id, JobStatus.FAILED, problem)
    wipe_token(transaction, job_id)
    return JobStatus.FAILED


def end_job(transaction: Transaction, job_id: str, status: JobStatus, problem: Problem | None) -> None:
    transaction.connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(
            status=status.value,
            finished_at=transaction.now,
            updated_at=transaction.now,
            waiting_reason=None,
            waiting_until=None,
            **({} if status is JobStatus.DLQ else {"token_refreshable": False}),
            **_problem_columns(problem),
        )
    )
    tell_callback(transaction, job_id)


def park_for_token(transaction: Transaction, job_id: str, problem: Problem) -> None:
    """Google refused the token in mid-walk: the job waits for a new one and goes on at the same page."""
    parked = transaction.connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id, status_in(jobs.c.status, RUNNING))
        .values(status=JobStatus.NEEDS_TOKEN.value, updated_at=transaction.now, **_problem_columns(problem))
    )
    if parked.rowcount:
        tell_callback(transaction, job_id)


def wipe_token(transaction: Transaction, job_id: str) -> None:
    transaction.connection.execute(delete(credentials).where(credentials.c.job_id == job_id))


def _problem_columns(problem: Problem | None) -> dict[str, str | int | None]:
    return {
        "error_type": problem.type if problem else None,
        "error_detail": problem.detail if problem else None,
        "error_status": problem.status if problem else None,
    }
