"""The PostgreSQL store on bad days: a server that freezes, dies, is another's standby, or ends connections."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.util import await_only

from app.leadership import LEASE_SECONDS
from app.store.database import StoreBusyError, StoreUnavailableError, Transaction, commits_together
from app.store.postgresql import PostgresDatabase
from app.store.writable import prove_writable
from tests.support.own_postgresql import OwnPostgresql, running_postgresql
from tests.support.services import ask

pytestmark = [pytest.mark.alone, pytest.mark.postgresql]

DEADLINE = 1.0

TERMINATE_ALL = (
    "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()) AS ended"
)


@pytest.fixture(scope="module")
def server() -> Iterator[OwnPostgresql]:
    with running_postgresql() as own:
        yield own


@pytest.fixture
async def store(server: OwnPostgresql) -> AsyncIterator[PostgresDatabase]:
    opened = PostgresDatabase(server.url, connections=3, deadline=DEADLINE)
    await opened.start()
    await opened.write(_execute, "DROP TABLE IF EXISTS notes")
    await opened.write(_execute, "CREATE TABLE notes (id int PRIMARY KEY, written int NOT NULL DEFAULT 0)")
    await opened.write(_execute, "INSERT INTO notes VALUES (1), (2)")
    yield opened
    await opened.close()


def _execute(transaction: Transaction, statement: str) -> None:
    transaction.connection.execute(text(statement))


@commits_together(str)
def _note(transaction: Transaction, number: int) -> None:
    transaction.run("UPDATE notes SET written = written + 1 WHERE id = $1", (number,))


def _written(transaction: Transaction, number: int) -> int:
    return int(transaction.run("SELECT written FROM notes WHERE id = $1", (number,)).scalar_one())


async def test_a_frozen_server_is_a_store_that_is_away_until_it_wakes(
    store: PostgresDatabase, server: OwnPostgresql
) -> None:
    with server.frozen():
        answers = await asyncio.gather(
            *(store.write(_note, 1) for _ in range(8)),
            *(store.read(_written, 1) for _ in range(8)),
            return_exceptions=True,
        )
    assert {type(answer) for answer in answers} == {StoreUnavailableError}
    await store.write(_note, 2)
    assert await store.read(_written, 2) == 1


async def test_after_an_immediate_stop_and_a_start_the_same_store_goes_on(
    store: PostgresDatabase, server: OwnPostgresql
) -> None:
    await asyncio.gather(*(store.write(_note, 1) for _ in range(4)))
    await asyncio.to_thread(server.stop_immediately)
    with pytest.raises(StoreUnavailableError):
        await store.write(_note, 1)
    with pytest.raises(StoreUnavailableError):
        await store.read(_written, 1)
    await asyncio.to_thread(server.start)
    await store.write(_note, 1)
    assert await store.read(_written, 1) == 5


async def test_ended_connections_are_no_trouble_to_whoever_writes_next(
    store: PostgresDatabase, server: OwnPostgresql
) -> None:
    for rounds in range(1, 4):
        await asyncio.gather(*(store.read(_written, 1) for _ in range(6)))
        assert ask(server.url, TERMINATE_ALL) == 3
        await asyncio.gather(*(store.write(_note, 1) for _ in range(6)))
        assert await store.read(_written, 1) == 6 * rounds


NO_ROOM = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
"""As the server says it. See docs/runbooks.md, "A disk is full"."""


async def test_a_server_whose_disk_is_full_is_away_and_goes_on_when_it_has_room(store: PostgresDatabase) -> None:
    written = await store.read(_written, 2)

    def write_without_room(transaction: Transaction) -> None:
        _note(transaction, 2)
        _execute(transaction, NO_ROOM)

    with pytest.raises(StoreUnavailableError, match="could not extend file"):
        await store.write(write_without_room)
    assert await store.read(_written, 2) == written, "nothing of it is kept"
    await store.write(_note, 2)
    assert await store.read(_written, 2) == written + 1


async def test_a_connection_that_ends_in_mid_transaction_starts_it_over(
    store: PostgresDatabase, server: OwnPostgresql
) -> None:
    begun = 0

    def cut_off_once(transaction: Transaction) -> None:
        nonlocal begun
        begun += 1
        _note(transaction, 1)
        if begun == 1:
            _execute(transaction, "SELECT pg_terminate_backend(pg_backend_pid())")

    await store.write(cut_off_once)
    assert begun == 2
    assert await store.read(_written, 1) == 1


async def test_rows_of_a_process_that_is_frozen_in_mid_transaction_are_free_when_another_may_lead(
    store: PostgresDatabase, server: OwnPostgresql
) -> None:
    frozen, other = PostgresDatabase(server.url), PostgresDatabase(server.url)
    taken = asyncio.Event()

    def freeze(transaction: Transaction) -> None:
        _note(transaction, 1)
        taken.set()
        await_only(asyncio.Event().wait())

    try:
        await frozen.start()
        await other.start()
        freezing = asyncio.create_task(frozen.write(freeze))
        await taken.wait()
        async with asyncio.timeout(LEASE_SECONDS + 2 * DEADLINE):
            await other.write(_note, 1)
        freezing.cancel()
        await asyncio.gather(freezing, return_exceptions=True)
        assert await other.read(_written, 1) == 1
    finally:
        await frozen.close()
        await other.close()


async def test_transactions_in_a_deadlock_both_succeed(store: PostgresDatabase, server: OwnPostgresql) -> None:
    patient = PostgresDatabase(server.url, deadline=20.0)
    await patient.start()
    both = asyncio.Barrier(2)
    begun: list[int] = []

    def crosswise(transaction: Transaction, first: int, second: int) -> None:
        begun.append(first)
        _note(transaction, first)
        if len(begun) <= 2:
            await_only(both.wait())
        _note(transaction, second)

    try:
        await asyncio.gather(patient.write(crosswise, 1, 2), patient.write(crosswise, 2, 1))
        assert [await patient.read(_written, number) for number in (1, 2)] == [2, 2]
        assert len(begun) == 3, "one of them was undone and begun again"
    finally:
        await patient.close()


async def test_a_write_that_is_cut_off_takes_no_connection_with_it(store: PostgresDatabase) -> None:
    for _ in range(6):
        with pytest.raises(StoreUnavailableError, match="no answer within"):
            await store.write(_execute, "SELECT pg_sleep(30)")
    await asyncio.gather(*(store.write(_note, 1) for _ in range(6)))


async def test_a_cancelled_write_takes_no_connection_with_it(store: PostgresDatabase) -> None:
    begun = asyncio.Barrier(4)

    def sleep(transaction: Transaction) -> None:
        await_only(begun.wait())
        _execute(transaction, "SELECT pg_sleep(30)")

    writing = [asyncio.create_task(store.write(sleep)) for _ in range(3)]
    await begun.wait()
    for task in writing:
        task.cancel()
    await asyncio.gather(*writing, return_exceptions=True)
    await asyncio.gather(*(store.write(_note, 1) for _ in range(6)))


@pytest.fixture
async def visitor(store: PostgresDatabase, server: OwnPostgresql) -> AsyncIterator[PostgresDatabase]:
    """The same database for somebody with less rights; not started."""
    await store.write(_execute, "CREATE ROLE visitor LOGIN PASSWORD 'guest'")
    await store.write(_execute, "GRANT ALL ON notes TO visitor")
    address = server.url.partition("@")[2]
    opened = PostgresDatabase(f"postgresql://visitor:guest@{address}")
    yield opened
    await opened.close()
    await store.write(_execute, "DROP OWNED BY visitor")
    await store.write(_execute, "DROP ROLE visitor")


async def test_a_server_that_takes_no_writes_is_away_and_reads_go_on(
    store: PostgresDatabase, visitor: PostgresDatabase
) -> None:
    await store.write(_execute, "ALTER ROLE visitor SET default_transaction_read_only = on")
    await visitor.start()
    with pytest.raises(StoreUnavailableError, match="read-only"):
        await visitor.write(_note, 1)
    with pytest.raises(StoreUnavailableError, match="only be read"):
        await visitor.write(prove_writable)
    assert await visitor.read(_written, 1) == 0


async def test_after_a_refused_write_another_connection_finds_the_server_that_takes_them(
    store: PostgresDatabase, visitor: PostgresDatabase
) -> None:
    await store.write(_execute, "ALTER ROLE visitor SET default_transaction_read_only = on")
    await visitor.start()
    with pytest.raises(StoreUnavailableError, match="read-only"):
        await visitor.write(_note, 1)
    await store.write(_execute, "ALTER ROLE visitor RESET default_transaction_read_only")
    await visitor.write(_note, 1)
    await visitor.write(prove_writable)


async def _write_again_and_again(store: PostgresDatabase) -> None:
    """Until it fails: a server reads its settings anew when it comes to it."""
    async with asyncio.timeout(30):
        while True:
            await store.write(prove_writable)


async def test_a_server_whose_commits_wait_for_a_standby_that_is_away_is_not_writable(
    store: PostgresDatabase, server: OwnPostgresql
) -> None:
    set_standbys = "ALTER SYSTEM SET synchronous_standby_names = '{}'"
    ask(server.url, set_standbys.format("*"))
    ask(server.url, "SELECT pg_reload_conf()")
    try:
        with pytest.raises(StoreUnavailableError, match="no answer within"):
            await _write_again_and_again(store)
    finally:
        ask(server.url, set_standbys.format(""))
        ask(server.url, "SELECT pg_reload_conf()")
    await store.write(prove_writable)


async def test_a_server_without_a_connection_left_is_away(store: PostgresDatabase, visitor: PostgresDatabase) -> None:
    await store.write(_execute, "ALTER ROLE visitor CONNECTION LIMIT 0")
    with pytest.raises(StoreUnavailableError, match="too many connections"):
        await visitor.start()


async def test_the_url_may_say_how_to_connect(server: OwnPostgresql) -> None:
    refusing = PostgresDatabase(f"{server.url}?sslmode=require")
    with pytest.raises(StoreUnavailableError, match="SSL"):
        await refusing.start()
    await refusing.close()
    plain = PostgresDatabase(f"{server.url}?sslmode=disable")
    await plain.start()
    await plain.close()


@pytest.mark.parametrize("statement", ["INSERT INTO notes VALUES (1)", "SELECT 1/0", "SELECT nothing"])
async def test_what_the_server_refuses_for_its_content_is_not_a_store_that_is_away(
    store: PostgresDatabase, statement: str
) -> None:
    with pytest.raises(Exception, match=r"duplicate key|division by zero|does not exist") as refusal:
        await store.write(_execute, statement)
    assert not isinstance(refusal.value, StoreUnavailableError)


async def test_a_failed_statement_that_the_work_hides_is_not_taken_for_a_commit(store: PostgresDatabase) -> None:
    def hide(transaction: Transaction) -> None:
        _note(transaction, 1)
        with pytest.raises(Exception, match="division"):
            _execute(transaction, "SELECT 1/0")

    with pytest.raises(Exception, match="had failed"):
        await store.write(hide)
    assert await store.read(_written, 1) == 0


async def test_a_lone_service_that_lost_its_lock_takes_it_again_unless_another_was_faster(
    server: OwnPostgresql,
) -> None:
    first, second = PostgresDatabase(server.url, exclusive=True), PostgresDatabase(server.url, exclusive=True)
    try:
        await first.start()
        ask(server.url, TERMINATE_ALL)
        await first.check()
        with pytest.raises(StoreBusyError):
            await second.start()
        ask(server.url, TERMINATE_ALL)
        await second.check()
        with pytest.raises(StoreBusyError):
            await first.check()
    finally:
        await first.close()
        await second.close()
