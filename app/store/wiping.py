"""Secrets that are wiped although their job has not ended: they are too old, or their sealing key was lost.

A job that runs asks for another token then, as when Google refuses one; a paused one does so when it is resumed. Each
call is a short transaction of at most `limit` jobs.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, delete, select, update

from app.models.durations import DAY_SECONDS
from app.models.job import Problem
from app.store.database import Transaction
from app.store.ends import park_for_token
from app.store.schema import callbacks, credentials, jobs
from app.store.sealing import NO_KEY


def wipe_aged(transaction: Transaction, max_age: float, limit: int) -> int:
    """Wipe the tokens and grants that were given to their jobs more than `max_age` seconds ago; how many."""
    detail = (
        f"The job's token was given {max_age / DAY_SECONDS:,.3g} days ago, and was wiped for its age. Send a new one."
    )
    aged = credentials.c.created_at <= transaction.now - max_age
    found = _locked(transaction, aged, credentials.c.created_at, limit)
    return _park(transaction, found, aged, Problem("token_too_old", detail))


def forget_credentials(transaction: Transaction, key_id: str, limit: int) -> int:
    """Wipe what is sealed with a key that nobody has any more; of how many jobs."""
    detail = "The key that the job's token was sealed with is gone, and the token with it. Send a new one."
    lost = credentials.c.key_id == key_id
    found = _locked(transaction, lost, credentials.c.job_id, limit)
    return _park(transaction, found, lost, Problem("token_unreadable", detail))


def forget_callbacks(transaction: Transaction, key_id: str, limit: int) -> int:
    """Empty the URLs that are sealed with it: their messages fail, and say that there is no URL any more."""
    lost = select(callbacks.c.job_id).where(callbacks.c.key_id == key_id).order_by(callbacks.c.job_id).limit(limit)
    return transaction.connection.execute(
        update(callbacks).where(callbacks.c.job_id.in_(lost)).values(key_id=NO_KEY, sealed_url=b"")
    ).rowcount


def _locked(
    transaction: Transaction, which: ColumnElement[bool], order: ColumnElement[object], limit: int
) -> Sequence[str]:
    """Ids of jobs, their rows held until the commit as everybody does who changes a job's token."""
    statement = (
        select(jobs.c.id)
        .join(credentials, credentials.c.job_id == jobs.c.id)
        .where(which)
        .order_by(order)
        .limit(limit)
        .with_for_update(of=jobs, skip_locked=True)
    )
    return transaction.connection.execute(statement).scalars().all()


def wipe(transaction: Transaction, job_ids: Sequence[str] | Select[str], which: ColumnElement[bool]) -> list[str]:
    """Wipe the secrets of those of these jobs to which `which` applies; the ids of the jobs.

    One that was given another token before it was locked keeps it.
    """
    gone = transaction.connection.execute(
        delete(credentials).where(credentials.c.job_id.in_(job_ids), which).returning(credentials.c.job_id)
    )
    wiped = sorted(gone.scalars())
    if wiped:
        renewed = jobs.c.id.in_(wiped) & jobs.c.token_refreshable
        transaction.connection.execute(update(jobs).where(renewed).values(token_refreshable=False))
    return wiped


def _park(transaction: Transaction, job_ids: Sequence[str], which: ColumnElement[bool], problem: Problem) -> int:
    wiped = wipe(transaction, job_ids, which)
    for job_id in wiped:
        park_for_token(transaction, job_id, problem)
    return len(wiped)
