"""What is over by time is over in time, however much of it there is."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from app.models.job import JobStatus
from app.results.housekeeping import BACKLOG_SECONDS, ROWS_A_COMMIT, TIDY_SECONDS, Housekeeping
from app.store.database import Database, StoreUnavailableError, Transaction
from app.store.schema import credentials, jobs
from app.store.submit import NewJob, submit
from app.store.wiping import wipe_aged
from app.telemetry.events import Event
from tests.support.clock import ManualClock
from tests.support.store import sqlite_database


class TurnClock(ManualClock):
    """Moves on by itself, and notes for how long each turn rests; the first long rest does not end."""

    def __init__(self) -> None:
        super().__init__()
        self.rests: list[float] = []
        self.idle = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.rests.append(seconds)
        if seconds == TIDY_SECONDS:
            self.idle.set()
            await asyncio.Event().wait()


def _all_over(transaction: Transaction) -> None:
    transaction.connection.execute(update(credentials).values(wipe_after=transaction.now - 1.0))


def _tokens(transaction: Transaction) -> int:
    return int(transaction.connection.execute(select(func.count()).select_from(credentials)).scalar_one())


async def test_more_tokens_than_a_commit_wipes_are_wiped_without_a_rest(tmp_path: Path) -> None:
    clock = TurnClock()
    async with sqlite_database(tmp_path, clock) as database:
        jobs = [NewJob(f"job-{number}", "default", "key-1", b"sealed") for number in range(2 * ROWS_A_COMMIT + 1)]
        await database.write(submit, jobs)
        await database.write(_all_over)
        loop = asyncio.create_task(Housekeeping(database, clock, 3600.0, token_max_age=86_400.0).run())
        await clock.idle.wait()
        loop.cancel()
        assert await database.read(_tokens) == 0
        assert clock.rests == [BACKLOG_SECONDS, BACKLOG_SECONDS, TIDY_SECONDS]


def _one_waits_for_a_token(transaction: Transaction) -> None:
    waits = {"status": JobStatus.NEEDS_TOKEN.value, "created_at": transaction.now - 7_000.0}
    long_ago = {"updated_at": transaction.now - 3_601.0}
    transaction.connection.execute(update(jobs).where(jobs.c.id == "waits").values(waits | long_ago))


async def test_a_job_that_failed_is_told_though_the_store_goes_away_right_after(tmp_path: Path) -> None:
    """It is never found again."""
    clock, ended = TurnClock(), list[float]()
    async with sqlite_database(tmp_path, clock) as database:
        await database.write(submit, [NewJob("waits", "default", "key-1", b"sealed")])
        await database.write(_one_waits_for_a_token)
        keeping = Housekeeping(
            cast(Any, _NoSecondWrite(database)), clock, 3600.0, token_max_age=86_400.0, failed=ended.append
        )
        loop = asyncio.create_task(keeping.run())
        await clock.idle.wait()
        loop.cancel()
    assert len(ended) == 1


class _NoSecondWrite:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, work: Any, *arguments: Any) -> Any:
        if work is wipe_aged:
            raise StoreUnavailableError("away")
        return await self._database.write(work, *arguments)


async def test_a_job_that_waited_for_a_token_in_vain_is_counted_among_those_that_ended(tmp_path: Path) -> None:
    clock, ended = TurnClock(), list[float]()
    async with sqlite_database(tmp_path, clock) as database:
        await database.write(submit, [NewJob(name, "default", "key-1", b"sealed") for name in ("waits", "works")])
        await database.write(_one_waits_for_a_token)
        keeping = Housekeeping(database, clock, 3600.0, token_max_age=86_400.0, failed=ended.append)
        with capture_logs() as logged:
            loop = asyncio.create_task(keeping.run())
            await clock.idle.wait()
            loop.cancel()
    assert ended == [pytest.approx(7_000.0)]
    assert [(line["job_id"], line["status"]) for line in logged if line["event"] == Event.JOB_ENDED] == [
        ("waits", "failed")
    ]
