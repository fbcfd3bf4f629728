"""What was erased is gone from the files of SQLite, not only from its tables."""

import asyncio
from pathlib import Path

from app.clock import SystemClock
from app.models.erasure import ErasureKind
from app.results.erasing import Erasing
from app.store.database import Database
from app.store.erasures import order_job, order_reviewer
from tests.contract.test_erasing import ends, job_of
from tests.support.announcing import held_locations, settle_page
from tests.support.service import eventually
from tests.support.store import review, sqlite_database

SECRET = "Annabel Canary"
MANY = 400


async def gone(directory: Path) -> None:
    await asyncio.to_thread(
        eventually, lambda: SECRET.encode() not in bytes_of(directory), 10.0, "files without what was erased"
    )


def bytes_of(directory: Path) -> bytes:
    """The store, its log, and whatever else lies beside it."""
    return b"".join(path.read_bytes() for path in sorted(directory.iterdir()))


async def _erase(database: Database) -> None:
    erasing = Erasing(database, SystemClock(), 0, publishes=False, announce=lambda: None)
    while await erasing.turn():
        pass


async def _job_with_canaries(database: Database) -> str:
    (task,) = await held_locations(database, 1)
    for start in range(0, MANY, 50):
        found = [
            review(f"{start + number}")._replace(
                reviewer=SECRET if number % 2 else "B. Guest",
                comment="c" * (number * 40),
                raw=f'{{"reviewer":{{"displayName":"{SECRET if number % 2 else "B. Guest"}"}}}}'.encode() * 3,
            )
            for number in range(50)
        ]
        await settle_page(database, task, found)
    await database.write(ends, task.job_id)
    return task.job_id


async def test_a_reviewer_is_in_no_byte_of_the_files(tmp_path: Path) -> None:
    async with sqlite_database(tmp_path, truncate_seconds=0.2) as database:
        await _job_with_canaries(database)
        await asyncio.to_thread(eventually, lambda: SECRET.encode() in bytes_of(tmp_path), 10.0, "what shall be gone")
        await database.write(order_reviewer, "default", ErasureKind.REVIEWER, SECRET)
        await _erase(database)
        await gone(tmp_path)
        assert b"B. Guest" in bytes_of(tmp_path)


async def test_a_job_is_in_no_byte_of_the_files(tmp_path: Path) -> None:
    async with sqlite_database(tmp_path, truncate_seconds=0.2) as database:
        await job_of(database, "kept")
        job_id = await _job_with_canaries(database)
        await database.write(order_job, "default", job_id)
        await _erase(database)
        await gone(tmp_path)


async def test_a_reader_of_an_older_state_is_not_waited_for(tmp_path: Path) -> None:
    """The log is cut off at a later look, and what is committed meanwhile is not delayed."""
    async with sqlite_database(tmp_path, truncate_seconds=0.2) as database:
        await _job_with_canaries(database)
        with database.engine.connect() as reader:
            reader.exec_driver_sql("BEGIN")
            reader.exec_driver_sql("SELECT count(*) FROM reviews").one()
            await database.write(order_reviewer, "default", ErasureKind.REVIEWER, SECRET)
            await _erase(database)
            assert SECRET.encode() in bytes_of(tmp_path)
            reader.exec_driver_sql("COMMIT")
        await gone(tmp_path)
