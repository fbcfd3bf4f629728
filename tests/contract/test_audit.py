"""The audit log on every database: an entry with each deed, none without it, and none that changes. ASVS 5.0 V16."""

import asyncio
from datetime import UTC, datetime

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.util import await_only

from app.models.audit import Action, AuditEntry, Origin
from app.models.audit_views import ALL_ENTRIES, AuditEntryView, AuditFilter
from app.models.errors import BadCursorError, IllegalTransitionError, JobNotFoundError
from app.pipeline.control import JobControl
from app.store import audit, control
from app.store.audit import audited, newest_entries, note, read_audit
from app.store.cursors import FeedCursor, encode
from app.store.database import Database, Transaction
from app.store.postgresql import PostgresDatabase
from app.store.schema import audit_log
from app.store.submit import NewJob, submit
from tests.support.store import new_job

BY = Origin("abcdefgh", "203.0.113.7", "request-1")


async def entries(
    database: Database, tenant: str | None = None, wanted: AuditFilter = ALL_ENTRIES
) -> list[AuditEntryView]:
    """All there are, over as many pages as it takes."""
    found, cursor, more = list[AuditEntryView](), None, True
    while more:
        page = await database.read(read_audit, tenant, wanted, 3, cursor)
        found, cursor, more = found + page.entries, page.next_cursor, page.more
    return found


async def read_on(database: Database, after: str | None, expected: int, limit: int = 4) -> tuple[list[str], str]:
    """The subjects of so many entries behind the cursor, at most `limit` a page, and where to go on.

    On PostgreSQL somebody else's transaction, in a database beside this one, may hold entries back for a moment.
    """
    seen, cursor = list[str](), after
    while True:
        page = await database.read(read_audit, "default", ALL_ENTRIES, limit, cursor)
        assert len(page.entries) <= limit
        seen, cursor = seen + [entry.subject for entry in page.entries], page.next_cursor
        if len(seen) >= expected and not page.more:
            return seen, cursor


async def told(database: Database) -> list[tuple[str, str, str]]:
    return [(entry.actor, entry.action, entry.subject) for entry in await entries(database)]


async def test_a_deed_is_written_down_with_who_did_it_and_from_where(database: Database) -> None:
    job_id = await new_job(database)
    await JobControl(database, lambda: None).pause("default", job_id, BY)
    submitted, paused = await entries(database)
    assert (submitted.action, submitted.actor, submitted.subject) == (Action.JOB_SUBMIT, "system", job_id)
    assert paused.model_dump(exclude={"id", "at", "detail"}) == {
        "tenant": "default",
        "actor": "abcdefgh",
        "action": "job.pause",
        "subject": job_id,
        "address": "203.0.113.7",
        "request_id": "request-1",
    }
    assert submitted.id < paused.id
    assert submitted.at <= paused.at
    assert abs((datetime.now(UTC) - paused.at).total_seconds()) < 60


async def test_jobs_of_one_commit_have_an_entry_each_and_a_replay_has_none(database: Database) -> None:
    new = [NewJob(f"job-{name}", "default", "key-1", b"sealed", "same", "hash", by=BY) for name in ("a", "b")]
    new.append(NewJob("job-c", "acme", "key-1", b"sealed"))
    await database.write(submit, new)
    assert await told(database) == [("abcdefgh", "job.submit", "job-a"), ("system", "job.submit", "job-c")]


async def test_what_was_refused_leaves_no_entry(database: Database) -> None:
    job_id, jobs = await new_job(database), JobControl(database, lambda: None)
    before = await told(database)
    with pytest.raises(IllegalTransitionError):
        await jobs.resume("default", job_id, BY)
    for tenant, name in (("default", "no-such-job"), ("other", job_id)):
        with pytest.raises(JobNotFoundError):
            await jobs.cancel(tenant, name, BY)
    assert await told(database) == before


async def test_a_deed_that_is_rolled_back_takes_its_entry_with_it(database: Database) -> None:
    job_id = await new_job(database)
    before = await told(database)

    def fails(transaction: Transaction) -> None:
        entry = AuditEntry("default", Action.JOB_PAUSE, job_id, BY)
        audited(control.pause, entry)(transaction, "default", job_id)
        raise RuntimeError("after the deed")

    with pytest.raises(RuntimeError, match="after the deed"):
        await database.write(fails)
    assert await told(database) == before


async def test_a_deed_whose_entry_cannot_be_written_is_not_done(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = await new_job(database)

    def unable(*_: object) -> None:
        raise RuntimeError("no entry")

    monkeypatch.setattr(audit, "record", unable)
    with pytest.raises(RuntimeError, match="no entry"):
        await JobControl(database, lambda: None).cancel("default", job_id, BY)
    monkeypatch.undo()
    await JobControl(database, lambda: None).pause("default", job_id, BY)
    assert [action for _, action, _ in await told(database)] == ["job.submit", "job.pause"]


CHANGES = {
    "update": "UPDATE audit_log SET actor = 'somebody else'",
    "update of none": "UPDATE audit_log SET actor = 'x' WHERE subject = 'no such subject'",
    "delete": "DELETE FROM audit_log",
    "insert over": "INSERT INTO audit_log (id, at, tenant, actor, action, subject)"
    " SELECT id, 1, tenant, 'somebody else', action, subject FROM audit_log WHERE true"
    " ON CONFLICT (id) DO UPDATE SET actor = excluded.actor",
}
ONLY = {
    "sqlite": {"replace": "INSERT OR REPLACE INTO audit_log SELECT * FROM audit_log"},
    "postgresql": {"truncate": "TRUNCATE audit_log", "truncate cascade": "TRUNCATE jobs, audit_log CASCADE"},
}


def run(transaction: Transaction, statement: str) -> None:
    transaction.connection.execute(text(statement))


async def test_no_entry_can_be_changed_or_removed(database: Database) -> None:
    await new_job(database)
    before = await entries(database)
    name = await database.read(lambda transaction: transaction.connection.dialect.name)
    for change, statement in (CHANGES | ONLY[name]).items():
        if name == "sqlite" and change == "update of none":
            continue  # its triggers ask for each row
        with pytest.raises(IntegrityError, match="append-only"):
            await database.write(run, statement)
    assert await entries(database) == before


async def test_pages_follow_each_other_and_a_reader_that_comes_back_gets_what_is_new(database: Database) -> None:
    await database.write(submit, [NewJob(f"job-{number}", "default", "key-1", b"s") for number in range(7)])
    seen, end = await read_on(database, None, 7)
    assert seen == [f"job-{number}" for number in range(7)]
    assert (await read_on(database, end, 0))[0] == []
    await database.write(submit, [NewJob("job-late", "default", "key-1", b"s")])
    assert (await read_on(database, end, 1))[0] == ["job-late"]


async def test_a_tenant_sees_its_own_entries_alone_and_its_cursor_is_no_other_ones(database: Database) -> None:
    await database.write(submit, [NewJob(f"job-{tenant}", tenant, "key-1", b"s") for tenant in ("a", "b", "")])
    assert [entry.subject for entry in await entries(database, "a")] == ["job-a"]
    assert [entry.subject for entry in await database.read(newest_entries, "b", 10, None)] == ["job-b"]
    assert len(await entries(database, None)) == 3
    theirs = (await database.read(read_audit, "a", ALL_ENTRIES, 1, None)).next_cursor
    everything = (await database.read(read_audit, None, ALL_ENTRIES, 1, None)).next_cursor
    for cursor in (theirs, everything, encode(FeedCursor()), "x", ""):
        with pytest.raises(BadCursorError):
            await database.read(read_audit, "b", ALL_ENTRIES, 1, cursor)


async def test_entries_are_chosen_by_what_who_which_and_when(database: Database) -> None:
    first, second = await new_job(database), await new_job(database)
    jobs = JobControl(database, lambda: None)
    await jobs.pause("default", first, BY)
    await jobs.pause("default", second)
    for wanted, subjects in (
        (AuditFilter(action=Action.JOB_PAUSE), [first, second]),
        (AuditFilter(actor="abcdefgh"), [first]),
        (AuditFilter(subject=second), [second, second]),
        (AuditFilter(subject=second, action=Action.JOB_CANCEL), []),
        (AuditFilter(since="2020-01-01"), [first, second, first, second]),
        (AuditFilter(since="2999-01-01"), []),
    ):
        assert [entry.subject for entry in await entries(database, "default", wanted)] == subjects


async def test_what_is_older_than_asked_for_is_not_even_read(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten days of an entry an hour; of the first look the last two days are enough, whatever a look may read."""
    monkeypatch.setattr(audit, "NUMBERS_A_LOOK", 60)
    rows = [
        {"at": 3600.0 * hour, "tenant": "default", "actor": "a", "action": "job.pause", "subject": f"hour-{hour}"}
        for hour in range(240)
    ]
    await database.write(lambda transaction: transaction.connection.execute(insert(audit_log), rows))
    since, cursor, looks = AuditFilter(since="1970-01-09"), None, list[list[AuditEntryView]]()
    while not looks:  # until PostgreSQL knows what is final
        page = await database.read(read_audit, "default", since, 100, cursor)
        cursor = page.next_cursor
        looks += [page.entries] if page.entries else []
    assert [entry.subject for entry in looks[0]] == [f"hour-{hour}" for hour in range(192, 240)]


async def test_hostile_text_is_stored_harmless_and_secrets_not_at_all(database: Database) -> None:
    hostile = "\x1b[31m\r\n\u202e\x00" + "x" * 500
    by = Origin(hostile, hostile, "ya29.a-token-in-a-wrong-place")
    detail: dict[str, object] = {"word": hostile, "key": "rf_abcdefgh_0123456789abcdefABCDEF", "count": 3, "none": None}
    await database.write(note, AuditEntry("default", Action.SIGN_IN_FAILED, hostile, by, detail))
    (entry,) = await entries(database)
    assert entry.request_id == entry.detail["key"] == "[redacted]"
    assert (entry.detail["count"], "none" in entry.detail) == (3, False)
    for shown in (entry.actor, entry.subject, entry.address, entry.detail["word"]):
        assert shown.startswith("\\x1b[31m\\r\\n\\u202e\\x00xxx")
        assert shown.isprintable()
        assert len(shown) < 300


@pytest.mark.postgresql
async def test_an_entry_that_is_committed_late_is_not_lost_to_who_reads_on(
    store: PostgresDatabase, other_store: PostgresDatabase
) -> None:
    """PostgreSQL draws numbers before the commit: one that was drawn first may become visible last."""
    drawn, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(transaction: Transaction) -> None:
        note(transaction, AuditEntry("default", Action.SIGN_IN, "early"))
        loop.call_soon_threadsafe(drawn.set)
        await_only(go_on.wait())

    writer = asyncio.create_task(other_store.write(slow))
    await drawn.wait()
    await store.write(note, AuditEntry("default", Action.SIGN_IN, "late"))
    cursor = None
    for _ in range(3):
        page = await store.read(read_audit, "default", ALL_ENTRIES, 4, cursor)
        cursor = page.next_cursor
        assert (page.entries, page.more) == ([], True)
    go_on.set()
    await writer
    assert (await read_on(store, cursor, 2))[0] == ["early", "late"]
