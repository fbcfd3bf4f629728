"""What only the SQLite adapter promises: grouped commits, one service a file, waiting work committed at close."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.store.database import StoreBusyError, StoreUnavailableError, Transaction
from app.store.sqlite import SqliteDatabase


def _create(transaction: Transaction) -> None:
    transaction.connection.execute(text("CREATE TABLE numbers (n INTEGER PRIMARY KEY)"))


def _insert(transaction: Transaction, number: int) -> None:
    transaction.connection.execute(text("INSERT INTO numbers VALUES (:n)"), {"n": number})


def _insert_then_fail(transaction: Transaction, number: int) -> None:
    _insert(transaction, number)
    raise LookupError("this unit is wrong")


def _numbers(transaction: Transaction) -> list[int]:
    return list(transaction.connection.execute(text("SELECT n FROM numbers ORDER BY n")).scalars())


async def _open(path: Path, groups: list[int] | None = None) -> SqliteDatabase:
    database = SqliteDatabase(path / "s.db", exclusive=True, committed=None if groups is None else groups.append)
    await database.start()
    await database.write(_create)
    return database


async def test_work_that_waits_together_is_committed_together(tmp_path: Path) -> None:
    groups: list[int] = []
    database = await _open(tmp_path, groups)
    await asyncio.gather(*(database.write(_insert, number) for number in range(40)))
    assert await database.read(_numbers) == list(range(40))
    assert sum(groups) == 41
    assert len(groups) < 20
    await database.close()


async def test_a_unit_that_fails_fails_alone(tmp_path: Path) -> None:
    database = await _open(tmp_path)
    results = await asyncio.gather(
        database.write(_insert, 1),
        database.write(_insert_then_fail, 2),
        database.write(_insert, 3),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None), LookupError, type(None)]
    assert await database.read(_numbers) == [1, 3]
    await database.close()


def _refuse(_transaction: Transaction) -> None:
    raise LookupError("there is no such job")


async def test_a_unit_that_refuses_before_it_writes_costs_the_others_nothing(tmp_path: Path) -> None:
    groups: list[int] = []
    database = await _open(tmp_path, groups)
    refused = [database.write(_refuse) for _ in range(20)]
    written = [database.write(_insert, number) for number in range(20)]
    results = await asyncio.gather(*refused, *written, return_exceptions=True)
    assert [type(result) for result in results] == [LookupError] * 20 + [type(None)] * 20
    assert len(groups) < 20
    await database.close()


async def test_what_the_database_refuses_for_its_content_is_no_store_that_is_away(tmp_path: Path) -> None:
    database = await _open(tmp_path)
    await database.write(_insert, 1)
    with pytest.raises(IntegrityError):
        await database.write(_insert, 1)
    assert await database.read(_numbers) == [1]
    await database.close()


async def test_a_second_service_on_the_same_file_is_refused(tmp_path: Path) -> None:
    database = await _open(tmp_path)
    second = SqliteDatabase(tmp_path / "s.db", exclusive=True)
    with pytest.raises(StoreBusyError, match="only one"):
        await second.start()
    beside = SqliteDatabase(tmp_path / "s.db", exclusive=False)
    await beside.start()
    await beside.write(_insert, 7)
    await beside.close()
    assert await database.read(_numbers) == [7]
    await database.close()


async def test_a_folder_that_cannot_be_made_is_told_as_a_store_that_is_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    database = SqliteDatabase(tmp_path / "file" / "s.db", exclusive=True)
    with pytest.raises(StoreUnavailableError, match="cannot be used"):
        await database.start()


async def test_what_waits_at_close_is_committed(tmp_path: Path) -> None:
    database = await _open(tmp_path)
    writes = [asyncio.ensure_future(database.write(_insert, number)) for number in range(300)]
    await asyncio.sleep(0)
    await database.close()
    await asyncio.gather(*writes)
    again = SqliteDatabase(tmp_path / "s.db", exclusive=True)
    await again.start()
    assert len(await again.read(_numbers)) == 300
    await again.close()


async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    database = await _open(tmp_path)
    await database.close()
    with pytest.raises(StoreUnavailableError):
        await database.write(_insert, 1)
    with pytest.raises(StoreUnavailableError):
        await database.read(_numbers)


async def test_a_locked_file_is_a_store_that_is_away_and_comes_back(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "s.db", exclusive=True, busy_timeout_ms=20)
    await database.start()
    await database.write(_create)
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="locked"):
        await database.write(_insert, 1)
    other.execute("ROLLBACK")
    other.close()
    await database.write(_insert, 2)
    assert await database.read(_numbers) == [2]
    await database.close()


async def test_what_waits_together_for_a_locked_file_fails_together(tmp_path: Path) -> None:
    """Not one after the other, each after a busy timeout of its own: forty of them would keep a stop for a minute."""
    database = SqliteDatabase(tmp_path / "s.db", exclusive=True, busy_timeout_ms=200)
    await database.start()
    await database.write(_create)
    with closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(4):
            writes = (database.write(_insert, number) for number in range(40))
            results = await asyncio.gather(*writes, return_exceptions=True)
    assert {type(result) for result in results} == {StoreUnavailableError}
    await database.close()


async def test_a_reader_sees_no_half_of_a_transaction(tmp_path: Path) -> None:
    database = await _open(tmp_path)

    def both(transaction: Transaction) -> None:
        _insert(transaction, 1)
        _insert(transaction, 2)

    seen = []
    writing = asyncio.ensure_future(database.write(both))
    while not writing.done():
        seen.append(await database.read(_numbers))
    await writing
    assert all(numbers in ([], [1, 2]) for numbers in seen)
    await database.close()
