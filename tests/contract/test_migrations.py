"""The migrations lead to the schema that the code works with, on every database."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

import app.store.migrations
from app.store.database import Database, Transaction
from app.store.migrate import SchemaTooNewError, TablesInUseError, fits, head_revision, migrate, revision
from app.store.postgresql import PostgresDatabase
from app.store.schema import metadata, outbox
from app.store.sqlite import SqliteDatabase

MIGRATIONS = Path(next(iter(app.store.migrations.__path__)))

WRITTEN_BY_THE_FIRST_VERSION = (
    "INSERT INTO jobs (id, tenant, status, created_at, updated_at, tasks_open)"
    " VALUES ('job-0', 'default', 'processing', 1.0, 1.0, 1)",
    "INSERT INTO tasks (tenant, job_id, stage, resource, status, due_at, version, lease_until)"
    " VALUES ('default', 'job-0', 'reviews', 'locations/1', 'released', 1.0, 1, 301.0)",
    "INSERT INTO outbox (tenant, job_id, location_no, first_seq, last_seq, created_at)"
    " VALUES ('default', 'job-0', 1, 1, 50, 1.0)",
)
"""As the code before the second revision writes: it knows none of that one's columns."""


def _differences(transaction: Transaction) -> list[object]:
    context = MigrationContext.configure(transaction.connection, opts={"compare_type": False})
    return list(compare_metadata(context, metadata))


async def test_the_migrations_create_the_schema(database: Database) -> None:
    assert await database.read(_differences) == []


async def test_a_missing_table_is_seen_by_that_comparison(database: Database) -> None:
    await database.write(lambda transaction: transaction.connection.execute(text("DROP TABLE outbox")))
    assert await database.read(_differences) != []


def test_the_scripts_are_named_after_their_revisions() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = list(ScriptDirectory.from_config(config).walk_revisions())
    assert {Path(script.path).name[:4] for script in scripts} == {script.revision for script in scripts}
    assert head_revision() == scripts[0].revision


def test_a_start_that_finds_nothing_to_migrate_does_without_alembic(tmp_path: Path) -> None:
    start = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from app.store.migrate import migrate\n"
        "from app.store.sqlite import SqliteDatabase\n"
        "async def run():\n"
        "    database = SqliteDatabase(Path(sys.argv[1]), exclusive=True)\n"
        "    await database.start()\n"
        "    await database.write(migrate)\n"
        "    await database.close()\n"
        "asyncio.run(run())\n"
        "print('alembic' in sys.modules)\n"
    )
    command = [sys.executable, "-c", start, str(tmp_path / "reviews.db")]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(app.__path__[0]).parent)}
    said = [subprocess.run(command, capture_output=True, text=True, env=environment, check=True) for _ in range(2)]
    assert [one.stdout for one in said] == ["True\n", "False\n"]


async def test_migrating_again_changes_nothing(database: Database) -> None:
    assert await database.write(migrate) == head_revision() == await database.read(revision)


@pytest.mark.postgresql
async def test_replicas_that_start_together_at_an_empty_database_migrate_it_once(postgresql_database: str) -> None:
    replicas = [PostgresDatabase(postgresql_database, connections=1) for _ in range(6)]
    try:
        await asyncio.gather(*(replica.start() for replica in replicas))
        assert await asyncio.gather(*(replica.write(migrate) for replica in replicas)) == [head_revision()] * 6
        assert await replicas[0].read(_differences) == []
    finally:
        await asyncio.gather(*(replica.close() for replica in replicas))


@pytest.fixture
async def older_tables(postgresql_database: str) -> AsyncIterator[tuple[PostgresDatabase, asyncpg.Connection]]:
    """An older version's tables on PostgreSQL, and a connection of one who works on them."""
    store = PostgresDatabase(postgresql_database)
    await store.start()
    await store.write(_upgrade_to, "0003")
    other = await asyncpg.connect(postgresql_database)
    yield store, other
    await other.close()
    await store.close()


WAITING = (
    "SELECT count(*) FROM pg_locks JOIN pg_database ON database = pg_database.oid"
    " WHERE datname = current_database() AND NOT granted AND relation = 'tasks'::regclass"
)


@pytest.mark.postgresql
async def test_a_migration_gives_way_to_those_who_lock_in_another_order(
    older_tables: tuple[PostgresDatabase, asyncpg.Connection],
) -> None:
    """Without that, one of the two ends with a deadlock each time, and under load a migration never gets through."""
    store, other = older_tables
    await other.execute("BEGIN; LOCK TABLE tasks IN ROW EXCLUSIVE MODE")
    migrating = asyncio.create_task(store.write(migrate))
    while not await other.fetchval(WAITING):
        assert not migrating.done()
    await other.execute("LOCK TABLE jobs IN ROW EXCLUSIVE MODE")
    await other.execute("COMMIT")
    assert await migrating == head_revision()
    assert await store.read(_differences) == []
    await store.close()  # its statistics are written by then
    assert await other.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0


@pytest.mark.postgresql
async def test_a_migration_that_gets_no_lock_says_so_and_changes_nothing(
    older_tables: tuple[PostgresDatabase, asyncpg.Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = older_tables
    monkeypatch.setattr("app.store.migrate._TRIES", 2)
    await other.execute("BEGIN; LOCK TABLE jobs IN ACCESS SHARE MODE")
    with pytest.raises(TablesInUseError, match=r"a backup or a long query perhaps\. Nothing was changed"):
        await store.write(migrate)
    assert await store.read(revision) == "0003"
    await other.execute("COMMIT")
    assert await store.write(migrate) == head_revision()


def _upgrade_to(transaction: Transaction, number: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = transaction.connection
    command.upgrade(config, number)


def _run(transaction: Transaction, statements: tuple[str, ...]) -> None:
    for statement in statements:
        transaction.connection.execute(text(statement))


def _rows(transaction: Transaction, table: str) -> list[dict[str, object]]:
    rows = transaction.connection.execute(text(f"SELECT * FROM {table}"))  # noqa: S608 - a name of ours
    return [dict(row) for row in rows.mappings()]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def old_database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """As the first version left it, with a job in the middle of its walk."""
    opened: Database
    if request.param == "sqlite":
        opened = SqliteDatabase(tmp_path / "store.db", exclusive=True)
    else:
        opened = PostgresDatabase(request.getfixturevalue("postgresql_database"))
    await opened.start()
    try:
        await opened.write(_upgrade_to, "0001")
        await opened.write(_run, WRITTEN_BY_THE_FIRST_VERSION)
        yield opened
    finally:
        await opened.close()


async def test_what_the_first_version_wrote_survives_the_upgrade(old_database: Database) -> None:
    before = {table: await old_database.read(_rows, table) for table in ("jobs", "tasks", "outbox")}
    assert not await old_database.read(fits)
    assert await old_database.write(migrate) == head_revision()
    assert await old_database.read(_differences) == []
    before["jobs"][0] |= {"token_refreshable": False, "locations_begun": 0, "clocked_from": None, "clocked_calls": 0}
    before["jobs"][0] |= {"traceparent": None}
    before["outbox"][0] |= {"kind": "reviews", "review_count": 0, "review_bytes": 0}
    assert {table: await old_database.read(_rows, table) for table in before} == before


async def test_letters_that_were_there_before_know_how_often_their_work_was_redriven(old_database: Database) -> None:
    letters = [("1", "1.0, 1, 2.0"), ("2", "1.0, 0, NULL"), ("1", "3.0, 1, 4.0"), ("NULL", "4.0, 0, NULL")]
    insert = (
        "INSERT INTO dead_letters (tenant, job_id, stage, resource, cause, detail, attempts, task_id, created_at,"
        " redrives, redriven_at) VALUES ('default', 'job-0', 'reviews', 'locations/1', 'timeout', '-', 4, {}, {})"
    )
    written = [insert.format(*letter) for letter in (*letters, ("1", "5.0, 0, NULL"))]
    await old_database.write(_run, tuple(written))
    await old_database.write(migrate)
    counted = [row["earlier_redrives"] for row in await old_database.read(_rows, "dead_letters ORDER BY id")]
    assert counted == [0, 0, 1, 0, 2]


async def test_the_first_version_goes_on_writing_after_the_upgrade(database: Database) -> None:
    await database.write(_run, WRITTEN_BY_THE_FIRST_VERSION)
    assert [row["kind"] for row in await database.read(_rows, outbox.name)] == ["reviews"]


def _pretend_newer(transaction: Transaction, oldest: str) -> None:
    """As a later version leaves the database: at a revision unknown here, that works with the code since `oldest`."""
    transaction.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    transaction.connection.execute(text("UPDATE schema_compatibility SET oldest = :oldest"), {"oldest": oldest})


async def test_tables_of_a_newer_version_that_this_one_works_on_stay_as_they_are(database: Database) -> None:
    await database.write(_pretend_newer, head_revision())
    assert await database.write(migrate) == "9999" == await database.read(revision)
    assert await database.read(fits)


async def test_tables_of_a_newer_version_that_this_one_does_not_work_on_are_refused(database: Database) -> None:
    await database.write(_pretend_newer, "9999")
    with pytest.raises(SchemaTooNewError, match=r"newer version.*Run that version"):
        await database.write(migrate)
    with pytest.raises(SchemaTooNewError):
        await database.read(fits)


async def test_a_database_of_another_program_is_refused(database: Database) -> None:
    await database.write(_run, ("UPDATE alembic_version SET version_num = 'a1b2c3'", "DROP TABLE schema_compatibility"))
    with pytest.raises(SchemaTooNewError):
        await database.write(migrate)


async def test_tables_say_since_which_version_code_works_on_them(database: Database) -> None:
    assert await database.read(_rows, "schema_compatibility") == [{"tenant": "", "oldest": "0001"}]
