"""A SQLite store in PostgreSQL: everything there, byte for byte, or nothing."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, insert, select

from app.credentials import Purpose, SealingKey, TokenSealer
from app.models.access import Scope
from app.models.job import JobStatus, TaskStatus
from app.models.review import Review
from app.models.settlement import Move, Settlement, SettleOptions
from app.store import copying
from app.store.copying import COPIED, Copied, TargetNotEmptyError, copy_store, snapshot
from app.store.database import Database, StoreBusyError, Transaction, may_take_long
from app.store.keys import create_key
from app.store.leadership import lead
from app.store.migrate import migrate
from app.store.postgresql import PostgresDatabase
from app.store.schema import (
    activity,
    audit_log,
    callbacks,
    ended_sessions,
    erasures,
    other_accounts,
    outbox,
    publisher_head,
    quota_budgets,
    reviews,
    submit_rates,
    tenants,
    tombstones,
    webhooks,
)
from app.store.settle import settle
from app.store.sqlite import SqliteDatabase
from app.store.submit import NewJob, submit
from tests.support.jobs import in_state, walked_to_reviews
from tests.support.store import new_job, review, sqlite_database

pytestmark = pytest.mark.postgresql

HOSTILE = Review(
    "NUL \ufffd", "accounts/1/locations/1/reviews/x", 1, "=1+1 \U0001f600", None, "t", "t", None, b'{"a":"\x00\xff"}'
)
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
    """A store with at least one row in every table that is copied, and a job in every state."""
    async with sqlite_database(tmp_path) as database:
        for status in JobStatus:
            if status is not JobStatus.PENDING:  # its task would be taken in the place of the next job's
                await in_state(database, status)
        job = await walked_to_reviews(database)
        page = Settlement(
            job.tasks["locations/1"],
            Move(TaskStatus.WAITING, cursor="page 2"),
            calls=1,
            page=True,
            reviews=[HOSTILE, review("b")],
            total=9,
        )
        await database.write(settle, page, SettleOptions(announce=True, token_wait=3600.0))
        await database.write(submit, [NewJob("job-with-key", "acme", "key-1", b"sealed", "again", "hash")])
        grant = TokenSealer([SealingKey("key-0", bytes(32))]).seal("acme", "job-with-grant", "{}", Purpose.GRANT)
        await database.write(submit, [NewJob("job-with-grant", "acme", "key-1", b"sealed", sealed_grant=grant.data)])
        await database.write(create_key, "acme", "for the import", [Scope.READ])
        await database.write(fill_the_rest)
        yield database


def fill_the_rest(transaction: Transaction) -> None:
    rows: dict[Table, dict[str, Any]] = {
        quota_budgets: {"project": "123", "api": "reviews", "state": b"\x00state"},
        other_accounts: {"location_no": 1, "account": "accounts/2", "tenant": "default"},
        publisher_head: {"topic": "reviews-raw", "position": 7, "published": 5},
        activity: {"tenant": "default", "minute": 29_000_000, "reviews": 50, "calls": 1},
        callbacks: {
            "job_id": "job-1",
            "tenant": "default",
            "key_id": "key-2",
            "sealed_url": b"\x01sealed",
            "shown_url": "https://example.com/hook",
        },
        webhooks: {
            "tenant": "default",
            "job_id": "job-1",
            "message_id": "msg_1",
            "event": "review_fetch.completed",
            "body": b"{}",
            "status": "waiting",
            "due_at": 1.0,
            "created_at": 1.0,
        },
        ended_sessions: {"id": "session", "expires_at": 1.0},
        tenants: {"tenant": "acme", "weight": 3, "drop_reviewers": True, "updated_at": 1.0},
        submit_rates: {"tenant": "acme", "arrival_at": 1.0},
        audit_log: {"at": 1.0, "tenant": "acme", "actor": "key", "action": "jobs.cancel", "subject": "job-1"},
        erasures: {"tenant": "acme", "kind": "job", "subject": "job-1", "status": "waiting", "created_at": 1.0},
        tombstones: {"tenant": "acme", "location": "locations/1", "review_id": "a", "created_at": 1.0},
    }
    for table, row in rows.items():
        transaction.connection.execute(insert(table).values(row))


@pytest.fixture
async def new(postgresql_database: str) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(postgresql_database, connections=2)
    await database.start()
    try:
        await database.write(migrate)
        yield database
    finally:
        await database.close()


def rows_of(transaction: Transaction) -> Rows:
    return {
        table.name: [
            dict(row)
            for row in transaction.connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
        ]
        for table in COPIED
    }


async def copied(old: SqliteDatabase, new: Database, tell: copying.Tell = lambda *_: None) -> Copied:
    with snapshot(old) as source:
        return await new.write(copy_store, source, tell)


def is_out(task: dict[str, Any]) -> bool:
    return task["status"] in (TaskStatus.RELEASED, TaskStatus.HELD)


async def test_every_row_of_every_table_arrives_as_it_was(
    old: SqliteDatabase, new: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "ROWS_A_BATCH", 3)
    before = await old.read(rows_of)
    done = await copied(old, new)
    after = await new.read(rows_of)
    out = [task["id"] for task in before["tasks"] if is_out(task)]
    for rows in (before, after):
        rows["tasks"] = [task for task in rows["tasks"] if task["id"] not in out]
    told = after["audit_log"].pop()
    assert after == before
    assert (told["action"], told["actor"], told["tenant"]) == ("store.copy", "system", "")
    assert json.loads(told["detail"]) == {"rows": sum(done.tables.values())}
    assert {table for table, count in done.tables.items() if count == 0} == set()
    assert done.key_ids == ["key-0", "key-1", "key-2"], "a grant may be older than its job's token"
    assert any(row["raw"] == HOSTILE.raw and row["comment"] == HOSTILE.comment for row in after["reviews"])


async def test_tasks_that_were_out_wait_again_under_a_new_version(old: SqliteDatabase, new: PostgresDatabase) -> None:
    out = {task["id"]: task for task in (await old.read(rows_of))["tasks"] if is_out(task)}
    assert {TaskStatus.HELD} <= {task["status"] for task in out.values()}
    done = await copied(old, new)
    there = {task["id"]: task for task in (await new.read(rows_of))["tasks"] if task["id"] in out}
    assert done.waiting_again == len(there) == len(out)
    for number, task in there.items():
        assert (task["status"], task["holder"], task["lease_until"]) == (TaskStatus.WAITING, None, None)
        assert task["version"] == out[number]["version"] + 1
        assert task["cursor"] == out[number]["cursor"]


async def test_new_rows_go_on_behind_the_copied_numbers(old: SqliteDatabase, new: PostgresDatabase) -> None:
    await copied(old, new)
    before = await new.read(rows_of)
    await new_job(new)
    after = await new.read(rows_of)
    assert len(after["tasks"]) == len(before["tasks"]) + 1
    assert after["tasks"][-1]["id"] > before["tasks"][-1]["id"]
    with_page = {table.name: before[table.name] for table in (reviews, outbox)}
    numbers = await new.write(next_numbers)
    assert numbers["reviews"] > with_page["reviews"][-1]["seq"]
    assert numbers["outbox"] > with_page["outbox"][-1]["id"]


def next_numbers(transaction: Transaction) -> dict[str, int]:
    def drawn(table: str, column: str) -> int:
        query = f"SELECT nextval(pg_get_serial_sequence('{table}', '{column}'))"
        return int(transaction.connection.exec_driver_sql(query).scalar_one())

    return {"reviews": drawn("reviews", "seq"), "outbox": drawn("outbox", "id")}


async def test_a_database_that_holds_data_is_left_alone(old: SqliteDatabase, new: PostgresDatabase) -> None:
    await new_job(new)
    before = await new.read(rows_of)
    with pytest.raises(TargetNotEmptyError, match="jobs"):
        await copied(old, new)
    assert await new.read(rows_of) == before


async def test_a_database_where_a_service_leads_is_left_alone(old: SqliteDatabase, new: PostgresDatabase) -> None:
    assert await new.write(lead, "scheduler", "a replica", 30.0)
    with pytest.raises(StoreBusyError, match="stop every replica"):
        await copied(old, new)


async def test_a_copy_that_is_broken_off_leaves_nothing_and_can_be_begun_anew(
    old: SqliteDatabase, new: PostgresDatabase
) -> None:
    def break_off(table: str, _copied: int, _total: int) -> None:
        if table == COPIED[-1].name:
            raise ConnectionError("the last table was reached")

    with pytest.raises(Exception, match="the last table was reached"):
        await copied(old, new, break_off)
    assert not any((await new.read(rows_of)).values())
    assert (await copied(old, new)).tables["jobs"] > 5


def test_no_deadline_cuts_a_long_copy_off() -> None:
    assert may_take_long(copy_store)


async def test_progress_is_told_by_table_up_to_the_last_row(
    old: SqliteDatabase, new: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "BYTES_A_BATCH", 1)
    told: list[tuple[str, int, int]] = []
    done = await copied(old, new, lambda *said: told.append(said))
    of_tasks = [said for said in told if said[0] == "tasks"]
    count = done.tables["tasks"]
    assert of_tasks == [("tasks", number, count) for number in range(1, count + 1)]
