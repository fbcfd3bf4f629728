"""Access tokens are renewed by one replica at a time: a lease in the job's row of `credentials`, by database time.

Who takes the lease asks Google and settles the answer by a compare-and-set on the version of the token: the answer of
one whose lease ran out, when another has settled since, is dropped. Each function locks the job's row first, as the
control of jobs does, and is a handful of statements however many tasks the job has.
"""

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import RowMapping, literal, select, update

from app.models.grant import refresh_due_at
from app.models.job import RUNNING
from app.store.database import Transaction
from app.store.schema import credentials, jobs
from app.store.turns import could_run_from

FRESH_SECONDS = 60.0
"""A token that Google gave so lately and refuses already, before it is due to be renewed, is refused for another reason
than its age."""

NOT_RUNNING_SECONDS = 1.0
"""The job was parked, paused or ended just now: its tasks go back and wait for what comes of it."""


class CurrentToken(NamedTuple):
    """The job's access token as it stands; times in seconds since 1970."""

    version: int
    sealed: bytes
    expires_at: float | None
    refreshed_at: float | None


@dataclass(frozen=True, slots=True)
class RefreshLease:
    """The right to ask Google, for as long as the lease was taken; `sealed_grant` is what to ask with.

    `since`: when it was taken, by the database's time.
    """

    sealed_grant: bytes
    since: float


@dataclass(frozen=True, slots=True)
class RefreshWait:
    """Another asks, or Google could not be asked a moment ago: not before so many `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class FreshlyRefused:
    """The token that Google refuses came from its token endpoint just now: a further one would fare no better."""


Begun = CurrentToken | RefreshLease | RefreshWait | FreshlyRefused


class NewToken(NamedTuple):
    """What Google gave for the lease of `since`, sealed under `key_id`, grant and all.

    It lives for `lives` seconds. They count from the lease: when Google began to count is not known, and the answer may
    have waited for the store. `ended_grant`: the sealed grant that it was asked for by, if Google has replaced that.
    """

    key_id: str
    sealed: bytes
    sealed_grant: bytes
    since: float
    lives: float | None
    ended_grant: bytes | None = None

    @property
    def expires_at(self) -> float | None:
        """In seconds since 1970, by the database's time."""
        return None if self.lives is None else self.since + self.lives


def begin_refresh(transaction: Transaction, job_id: str, version: int, *, refused: bool, lease: float) -> Begun:
    """Take the lease for `lease` seconds, unless the job has a newer token than `version`, or it is not time yet.

    `refused`: Google does not accept that token any more, whatever its age.
    """
    row = _locked(transaction, job_id)
    now = transaction.now
    if row is None or row["sealed_grant"] is None or row["status"] not in RUNNING:
        return RefreshWait(NOT_RUNNING_SECONDS)
    if row["version"] != version:
        return _current(row)
    expires_at, refreshed_at = row["token_expires_at"], row["refreshed_at"]
    is_due = now >= refresh_due_at(expires_at, refreshed_at)
    if refused:
        if refreshed_at is not None and now - refreshed_at < FRESH_SECONDS and not is_due:
            return FreshlyRefused()
        _say_dead(transaction, job_id, expires_at)
    elif row["sealed"] and not is_due:
        return _current(row)
    until = row["refreshing_until"]
    if until is not None and until > now:
        return RefreshWait(until - now)
    _set_lease(transaction, job_id, now + lease)
    return RefreshLease(row["sealed_grant"], now)


def end_refresh(transaction: Transaction, job_id: str, version: int, new: NewToken) -> CurrentToken | None:
    """The job goes on with the new token, unless it has another than `version` by now: that one is the answer then, and
    of the new one no more is kept than the grant that Google gave in the place of the job's.

    None when the job has ended and its credentials are wiped. It stays with its Google project: the OAuth client is
    the same. The call is counted like that of tokeninfo.
    """
    row = _locked(transaction, job_id)
    if row is None:
        return None
    if row["version"] != version:
        _replace_grant(transaction, job_id, new)
        return _current(row)
    transaction.connection.execute(
        update(credentials)
        .where(credentials.c.job_id == job_id)
        .values(
            version=version + 1,
            key_id=new.key_id,
            sealed=new.sealed,
            sealed_grant=new.sealed_grant,
            refreshing_until=None,
            refreshed_at=new.since,
        )
    )
    transaction.connection.execute(
        update(jobs)
        .where(jobs.c.id == job_id)
        .values(
            credential_version=version + 1,
            token_expires_at=new.expires_at,
            calls=jobs.c.calls + 1,
            waiting_until=could_run_from(literal(transaction.now), jobs.c.waiting_until),
        )
    )
    return CurrentToken(version + 1, new.sealed, new.expires_at, new.since)


def _replace_grant(transaction: Transaction, job_id: str, new: NewToken) -> None:
    """Unless Google kept it, or the caller gave another, or it was wiped. A row has one key: sealed with another one
    it would never open."""
    if new.ended_grant is None:
        return
    same = (credentials.c.sealed_grant == new.ended_grant) & (credentials.c.key_id == new.key_id)
    transaction.connection.execute(
        update(credentials).where(credentials.c.job_id == job_id, same).values(sealed_grant=new.sealed_grant)
    )


def put_off_refresh(transaction: Transaction, job_id: str, version: int, seconds: float | None) -> float | None:
    """Google gave no token: nobody asks for `seconds` (None: until the present one is dead).

    Returns for how many seconds the job has been without a token that lives; None while it has one.
    """
    row = _locked(transaction, job_id)
    if row is None or row["version"] != version:
        return None
    now = transaction.now
    expires_at = row["token_expires_at"]
    until = (expires_at or now) if seconds is None else now + seconds
    _set_lease(transaction, job_id, until)
    transaction.connection.execute(update(jobs).where(jobs.c.id == job_id).values(calls=jobs.c.calls + 1))
    if not row["sealed"]:
        return float(now - row["created_at"])
    return None if expires_at is None or expires_at > now else float(now - expires_at)


def _locked(transaction: Transaction, job_id: str) -> RowMapping | None:
    """Job and credentials together, the job's row held until the commit."""
    transaction.connection.execute(select(jobs.c.id).where(jobs.c.id == job_id).with_for_update())
    joined = select(credentials, jobs.c.status, jobs.c.token_expires_at).join(jobs, jobs.c.id == credentials.c.job_id)
    return transaction.connection.execute(joined.where(credentials.c.job_id == job_id)).mappings().one_or_none()


def _current(row: RowMapping) -> CurrentToken:
    return CurrentToken(row["version"], row["sealed"], row["token_expires_at"], row["refreshed_at"])


def _say_dead(transaction: Transaction, job_id: str, expires_at: float | None) -> None:
    """Google has ended the token before its time: with this no task of the job is released until there is another."""
    if expires_at is not None and expires_at <= transaction.now:
        return
    transaction.connection.execute(update(jobs).where(jobs.c.id == job_id).values(token_expires_at=transaction.now))


def _set_lease(transaction: Transaction, job_id: str, until: float) -> None:
    transaction.connection.execute(
        update(credentials).where(credentials.c.job_id == job_id).values(refreshing_until=until)
    )
