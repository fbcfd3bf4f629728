"""A job's locations: one by one with the reason of each gap, and all of them reconciled with what Google counts.

Both go along the unique key (job_id, location): what other jobs have is never touched.
"""

from sqlalchemy import ColumnElement, RowMapping, and_, case, false, func, literal_column, or_, select

from app.models.errors import JobNotFoundError
from app.models.job import JobStatus, LocationState
from app.models.locations import ALL_LOCATIONS, LocationFilter, Reconciliation
from app.models.views import LocationList, LocationView, Totals
from app.store.cursors import LocationsCursor, decode_of_job, encode
from app.store.database import Transaction
from app.store.reads import require_job, require_storable
from app.store.schema import jobs, locations, status_in, status_is
from app.store.texts import is_storable

LOST = (LocationState.UNAVAILABLE, LocationState.DEAD)
"""The states in which a location's reviews are not there, whatever was counted."""


def list_locations(
    transaction: Transaction,
    tenant: str,
    job_id: str,
    *,
    limit: int,
    cursor: str | None,
    wanted: LocationFilter = ALL_LOCATIONS,
) -> LocationList:
    """The job's wanted locations by name, behind the cursor. Raises JobNotFoundError, BadCursorError."""
    require_job(transaction, tenant, job_id)
    which = [locations.c.job_id == job_id, *_conditions(wanted)]
    if cursor is not None:
        which.append(locations.c.location > decode_of_job(cursor, LocationsCursor, job_id).location)
    statement = select(locations).where(*which).order_by(locations.c.location).limit(limit + 1)
    rows = transaction.connection.execute(statement).mappings().all()
    last = rows[limit - 1] if len(rows) > limit else None
    return LocationList(
        locations=[_location_view(row) for row in rows[:limit]],
        next_cursor=encode(LocationsCursor(job_id, last["location"])) if last else None,
    )


def _conditions(wanted: LocationFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.account is not None:
        conditions.append(locations.c.account == wanted.account if is_storable(wanted.account) else false())
    if wanted.state is not None:
        conditions.append(locations.c.state == wanted.state.value)
    if wanted.gaps:
        conditions.append(or_(locations.c.gap.is_not(None), status_in(locations.c.state, LOST)))
    return conditions


def _location_view(row: RowMapping) -> LocationView:
    return LocationView(
        account=row["account"],
        location=row["location"],
        title=row["title"],
        totals=Totals(total=row["total"], average=row["average"]),
        fetched=row["fetched"],
        state=row["state"],
        cause=row["cause"],
        gap=row["gap"],
        gap_reason=_gap_reason(row),
    )


def _gap_reason(row: RowMapping) -> str | None:
    if row["state"] == LocationState.DEAD:
        return f"Given up ({row['cause']}): see /api/v1/dlq?job_id={row['job_id']}. A redrive goes on where it stopped."
    if row["state"] == LocationState.UNAVAILABLE:
        return _UNAVAILABLE.get(row["cause"], f"Google does not give its reviews ({row['cause']}).")
    if row["gap"] is None:
        return None
    counted = f"Google counts {row['total']:,} reviews, {row['fetched']:,} were fetched: "
    if row["cause"] is not None:
        return counted + _CUT.get(row["cause"], f"the list ended early ({row['cause']}).")
    return counted + (_FEWER if row["gap"] > 0 else _MORE)


_UNAVAILABLE = {
    "not_verified": "Google gives reviews of verified locations only. Verify it in its Business Profile, then submit "
    "again.",
    "not_found": "Google answers that there is no such location, under every account that lists it.",
}

_CUT = {
    "page_token_refused": "Google refused the page token, and refused it again after a new start. Submit again.",
    "page_token_loop": "Google's page tokens went in a circle or had no end: the rest of the list could not be read.",
}

_FEWER = (
    "it changed while it was read, also at the second look, or Google's own count is not exact. If a review was over "
    "MAX_REVIEW_BYTES, it is among the dead letters."
)

_MORE = "reviews were taken back while it was read, or Google's own count is not exact."


def reconcile(transaction: Transaction, tenant: str, job_id: str) -> Reconciliation:
    """All locations of the job in one pass over their rows. Raises JobNotFoundError."""
    require_storable(job_id)
    job = select(jobs.c.status, (jobs.c.accounts_found - jobs.c.accounts_done).label("unlisted")).where(
        jobs.c.id == job_id, jobs.c.tenant == tenant
    )
    found = transaction.connection.execute(job).one_or_none()
    if found is None:
        raise JobNotFoundError
    row = transaction.connection.execute(_sums.where(locations.c.job_id == job_id)).mappings().one()
    sums = {name: int(row[name]) for name in row}
    whole = found.status == JobStatus.COMPLETED and sums["complete"] == sums["locations"] and not found.unlisted
    return Reconciliation.model_validate(sums | {"whole": whole, "unlisted_accounts": found.unlisted})


def _sum(what: ColumnElement[int], name: str) -> ColumnElement[int]:
    return func.coalesce(func.sum(what), 0).label(name)


def _number_of(which: ColumnElement[bool], name: str) -> ColumnElement[int]:
    return _sum(case((which, literal_column("1")), else_=literal_column("0")), name)


_total = func.coalesce(locations.c.total, literal_column("0"))

_done = status_is(locations.c.state, LocationState.DONE)

_sums = select(
    func.count().label("locations"),
    _number_of(and_(_done, locations.c.gap.is_(None)), "complete"),
    _number_of(and_(_done, locations.c.gap.is_not(None)), "with_gap"),
    *(_number_of(status_is(locations.c.state, state), state.value) for state in (*LOST, LocationState.WAITING)),
    _sum(_total, "expected"),
    _sum(locations.c.fetched, "fetched"),
    _sum(case((locations.c.fetched < _total, _total - locations.c.fetched), else_=literal_column("0")), "missing"),
    _sum(case((locations.c.fetched > _total, locations.c.fetched - _total), else_=literal_column("0")), "surplus"),
).select_from(locations)
