"""Dead letters as they are shown: short reads, each by an index, always the tenant's own."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, RowMapping, case, false, func, select

from app.models.errors import DeadLetterNotFoundError
from app.models.views import CauseList, CauseView, DeadLetterFilter, DeadLetterHistory, DeadLetterList, DeadLetterView
from app.store.cursors import DeadLettersCursor, decode_of_tenant, encode_of_tenant
from app.store.database import Transaction
from app.store.job_view import moment, title_of
from app.store.owners import any_hidden, hidden_jobs
from app.store.schema import dead_letters
from app.store.texts import is_storable

MOST_CAUSES = 100
MOST_EARLIER = 100
"""Of one piece of work; whoever redrives more often than that sees the newest."""


def undriven(tenant: str, which: DeadLetterFilter | None = None) -> list[ColumnElement[bool]]:
    """The conditions of a tenant's dead letters that were not redriven since they were written."""
    return [*_still_dead(tenant, which), _seen]


_seen = dead_letters.c.job_id.not_in(hidden_jobs)


def _still_dead(tenant: str, which: DeadLetterFilter | None) -> list[ColumnElement[bool]]:
    """The same with those of hidden jobs."""
    conditions: list[ColumnElement[bool]] = [dead_letters.c.tenant == tenant, dead_letters.c.redriven_at.is_(None)]
    wanted = which.model_dump(exclude_none=True) if which else {}
    return conditions + [
        dead_letters.c[name] == value if is_storable(value) else false() for name, value in wanted.items()
    ]


def is_parked(max_redrives: int) -> ColumnElement[bool]:
    """Whether a letter's work has been redriven so often that it is left alone."""
    return dead_letters.c.earlier_redrives >= max_redrives


def list_dead_letters(
    transaction: Transaction,
    tenant: str,
    which: DeadLetterFilter | None,
    *,
    parked: bool | None,
    max_redrives: int,
    limit: int,
    cursor: str | None,
) -> DeadLetterList:
    """The tenant's dead letters, newest first, behind the cursor. `parked` None: both. Raises BadCursorError."""
    conditions = undriven(tenant, which)
    if parked is not None:
        conditions.append(is_parked(max_redrives) if parked else ~is_parked(max_redrives))
    if cursor is not None:
        conditions.append(dead_letters.c.id < decode_of_tenant(cursor, DeadLettersCursor, tenant).before)
    statement = select(dead_letters).where(*conditions).order_by(dead_letters.c.id.desc()).limit(limit + 1)
    rows = transaction.connection.execute(statement).mappings().all()
    last = rows[limit - 1] if len(rows) > limit else None
    return DeadLetterList(
        items=[_view(row, max_redrives) for row in rows[:limit]],
        next_cursor=encode_of_tenant(DeadLettersCursor(last["id"]), tenant) if last else None,
    )


def read_dead_letter(transaction: Transaction, tenant: str, letter_id: int, max_redrives: int) -> DeadLetterHistory:
    """One letter, redriven since or not, with the earlier ones of its task. Raises DeadLetterNotFoundError."""
    this = select(dead_letters).where(dead_letters.c.id == letter_id, dead_letters.c.tenant == tenant, _seen)
    row = transaction.connection.execute(this).mappings().one_or_none()
    if row is None:
        raise DeadLetterNotFoundError
    earlier = [] if row["task_id"] is None else _earlier(transaction, tenant, row["task_id"], letter_id)
    return DeadLetterHistory(
        **_view(row, max_redrives).model_dump(), earlier=[_view(one, max_redrives) for one in earlier]
    )


def _earlier(transaction: Transaction, tenant: str, task_id: int, letter_id: int) -> Sequence[RowMapping]:
    """A task dies again only after a redrive, so its earlier letters are all redriven: those are found by an index."""
    statement = (
        select(dead_letters)
        .where(
            dead_letters.c.task_id == task_id,
            dead_letters.c.tenant == tenant,
            dead_letters.c.redriven_at.is_not(None),
            dead_letters.c.id < letter_id,
        )
        .order_by(dead_letters.c.id.desc())
        .limit(MOST_EARLIER)
    )
    return transaction.connection.execute(statement).mappings().all()


def count_causes(transaction: Transaction, tenant: str, job_id: str | None, max_redrives: int) -> CauseList:
    """The tenant's dead letters by cause, from an index alone; those of one job by that job's letters.

    The index does not know their jobs: while there are hidden ones, which is seldom, the letters are read too.
    """
    of_job = None if job_id is None else DeadLetterFilter(job_id=job_id)
    which = undriven if transaction.connection.execute(any_hidden).scalar() else _still_dead
    count = func.count()
    statement = (
        select(
            dead_letters.c.cause,
            count,
            func.sum(case((is_parked(max_redrives), 1), else_=0)),
            func.min(dead_letters.c.created_at),
            func.max(dead_letters.c.created_at),
        )
        .where(*which(tenant, of_job))
        .group_by(dead_letters.c.cause)
        .order_by(count.desc(), dead_letters.c.cause)
        .limit(MOST_CAUSES)
    )
    return CauseList(
        causes=[
            CauseView(
                cause=cause,
                title=title_of(cause),
                count=number,
                parked=parked,
                oldest=moment(oldest),
                newest=moment(newest),
            )
            for cause, number, parked, oldest, newest in transaction.connection.execute(statement)
        ]
    )


_COPIED = "id job_id stage resource cause detail attempts cursor".split()


def _view(row: RowMapping, max_redrives: int) -> DeadLetterView:
    return DeadLetterView(
        created_at=moment(row["created_at"]),
        redrives=row["earlier_redrives"],
        parked=row["earlier_redrives"] >= max_redrives,
        redriven_at=None if row["redriven_at"] is None else moment(row["redriven_at"]),
        **{name: row[name] for name in _COPIED},
    )
