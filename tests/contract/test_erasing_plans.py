"""A look for what is to be swept or erased costs what it finds, however much there is besides."""

from sqlalchemy import insert

from app.models.erasure import ReviewKey
from app.store.clearing import note_published
from app.store.database import Database, Transaction
from app.store.erasures import open_order
from app.store.owners import ERASED, SWEPT
from app.store.retention import hide_outdated
from app.store.reviewers import look_for_review, look_for_reviewer, older_jobs_run
from app.store.schema import erasures, jobs, locations, outbox, reviews
from app.store.sweep import sweep_step
from tests.support.store import plans

MANY = 4_000


def _plenty(transaction: Transaction) -> None:
    """Jobs of some tenants that are not over, and one of each kind that is."""
    connection, now = transaction.connection, transaction.now
    common = {"status": "completed", "created_at": 1.0, "updated_at": 1.0, "finished_at": now}
    rows = [common | {"id": f"job-{number}", "tenant": f"t{number % 7}"} for number in range(MANY)]
    rows += [common | {"id": "old", "tenant": "t3", "finished_at": 1.0}]
    rows += [common | {"id": owner, "tenant": owner} for owner in (ERASED, SWEPT)]
    connection.execute(insert(jobs), rows)
    place = {"account": "accounts/1", "title": "", "state": "done"}
    places = [
        place | {"no": number + 1, "tenant": row["tenant"], "job_id": row["id"], "location": f"locations/{number % 50}"}
        for number, row in enumerate(rows)
    ]
    connection.execute(insert(locations), places)
    found = [
        {"tenant": one["tenant"], "location_no": one["no"], "review_id": "r", "name": "", "raw": b"{}"}
        for one in places
    ]
    connection.execute(insert(reviews), found)
    rest = {"tenant": "t1", "job_id": "job-1", "location_no": 1, "first_seq": 1, "last_seq": 1, "created_at": 1.0}
    connection.execute(insert(outbox), [rest | {"position": number + 1} for number in range(MANY)])
    done = {"tenant": "t1", "kind": "job", "subject": "x", "status": "done", "created_at": 1.0, "finished_at": 2.0}
    connection.execute(insert(erasures), [done] * MANY)


def _all_looks(transaction: Transaction) -> None:
    after: str | None = ""
    while after is not None:
        after = hide_outdated(transaction, 30, after, 10, publishes=True).after
    for _ in range(4):
        sweep_step(transaction, 100, publishes=True)
    open_order(transaction, 0)
    older_jobs_run(transaction, "t1", 1.0)
    look_for_review(transaction, "t1", ReviewKey("locations/1", "r"), 10)
    look_for_reviewer(transaction, "t1", "Ann Other", (MANY, MANY + 10), 10)
    note_published(transaction, 1, 10)


async def test_no_look_goes_through_a_whole_table(database: Database) -> None:
    await database.write(_plenty)
    how = await database.write(plans, _all_looks)
    big = ("jobs", "locations", "reviews", "outbox", "erasures")
    whole = [plan for plan in how for table in big if f"SCAN {table}" in plan or f"Seq Scan on {table}" in plan]
    assert whole == []
