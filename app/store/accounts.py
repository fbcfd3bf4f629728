"""A job's accounts: the listing of each is a task, and its locations are counted from their rows."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, RowMapping, func, literal_column, select

from app.models.job import LocationState, Stage, TaskStatus
from app.models.overview import AccountList, AccountLocations, AccountReviews, AccountState, AccountView
from app.store.cursors import AccountsCursor, decode_of_job, encode
from app.store.database import Transaction
from app.store.reads import require_job
from app.store.schema import locations, status_is, tasks


def list_accounts(transaction: Transaction, tenant: str, job_id: str, limit: int, cursor: str | None) -> AccountList:
    """The job's accounts by name, behind the cursor. Raises JobNotFoundError, BadCursorError."""
    require_job(transaction, tenant, job_id)
    which: list[ColumnElement[bool]] = [tasks.c.job_id == job_id, tasks.c.stage == Stage.LOCATIONS.value]
    if cursor is not None:
        which.append(tasks.c.resource > decode_of_job(cursor, AccountsCursor, job_id).account)
    columns = (tasks.c.resource, tasks.c.title, tasks.c.status, tasks.c.pages)
    statement = select(*columns).where(*which).order_by(tasks.c.resource).limit(limit + 1)
    rows = transaction.connection.execute(statement).mappings().all()
    last = rows[limit - 1] if len(rows) > limit else None
    counted = _counted(transaction, job_id, [row["resource"] for row in rows[:limit]])
    return AccountList(
        accounts=[_account_view(row, counted.get(row["resource"], {})) for row in rows[:limit]],
        next_cursor=encode(AccountsCursor(job_id, last["resource"])) if last else None,
    )


def _counted(transaction: Transaction, job_id: str, accounts: Sequence[str]) -> dict[str, Mapping[str, int]]:
    """Account → what its locations come to, in one pass over the job's locations."""
    of_state = {
        state.value: func.count(literal_column("1")).filter(status_is(locations.c.state, state))
        for state in LocationState
        if state is not LocationState.WAITING
    }
    statement = (
        select(
            locations.c.account,
            func.count().label("found"),
            *(count.label(state) for state, count in of_state.items()),
            func.sum(locations.c.fetched).label("fetched"),
            func.coalesce(func.sum(locations.c.total), 0).label("expected"),
        )
        .where(locations.c.job_id == job_id, locations.c.account.in_(accounts))
        .group_by(locations.c.account)
    )
    rows = transaction.connection.execute(statement).mappings()
    return {row["account"]: {name: int(row[name]) for name in row if name != "account"} for row in rows}


def _account_view(row: RowMapping, counted: Mapping[str, int]) -> AccountView:
    numbers = dict.fromkeys(("found", "done", "unavailable", "dead", "fetched", "expected"), 0) | dict(counted)
    return AccountView(
        account=row["resource"],
        title=row["title"],
        state=_state(TaskStatus(row["status"]), begun=row["pages"] > 0),
        locations=AccountLocations.model_validate({name: numbers[name] for name in AccountLocations.model_fields}),
        reviews=AccountReviews.model_validate({name: numbers[name] for name in AccountReviews.model_fields}),
    )


def _state(status: TaskStatus, *, begun: bool) -> AccountState:
    if status in (TaskStatus.DONE, TaskStatus.DEAD):
        return AccountState(status.value)
    return AccountState.LISTING if begun or status is TaskStatus.HELD else AccountState.WAITING
