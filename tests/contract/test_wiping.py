"""Tokens do not outlive their age, whatever their jobs do; and what was wiped from a SQLite file is gone from it."""

import asyncio
import os
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.models.durations import DAY_SECONDS
from app.models.job import JobStatus
from app.pipeline.control import JobControl
from app.store.database import Database, Transaction
from app.store.ends import wipe_token
from app.store.migrate import migrate
from app.store.reads import read_job
from app.store.schema import credentials, jobs
from app.store.sqlite import SqliteDatabase
from app.store.submit import NewJob, submit
from app.store.wiping import wipe_aged
from tests.support.jobs import in_state
from tests.support.service import eventually

MAX_AGE = 30 * DAY_SECONDS


async def aged(database: Database, job_id: str, seconds: float) -> None:
    """The job's token was given so long ago."""

    def write(transaction: Transaction) -> None:
        given = transaction.now - seconds
        token = update(credentials).where(credentials.c.job_id == job_id)
        transaction.connection.execute(token.values(created_at=given, sealed_grant=b"grant"))
        transaction.connection.execute(update(jobs).where(jobs.c.id == job_id).values(token_refreshable=True))

    await database.write(write)


async def has_token(database: Database, job_id: str) -> bool:
    def read(transaction: Transaction) -> bool:
        found = select(credentials.c.job_id).where(credentials.c.job_id == job_id)
        return transaction.connection.execute(found).first() is not None

    return await database.read(read)


async def wiped(database: Database) -> int:
    return await database.write(wipe_aged, MAX_AGE, 100)


@pytest.mark.parametrize(
    ("status", "after"),
    [
        (JobStatus.PENDING, JobStatus.NEEDS_TOKEN),
        (JobStatus.PROCESSING, JobStatus.NEEDS_TOKEN),
        (JobStatus.PAUSED, JobStatus.PAUSED),
        (JobStatus.NEEDS_TOKEN, JobStatus.NEEDS_TOKEN),
        (JobStatus.DLQ, JobStatus.DLQ),
    ],
)
async def test_a_token_is_wiped_for_its_age_in_every_state(
    database: Database, status: JobStatus, after: JobStatus
) -> None:
    """Data minimisation, ASVS 5.0 V14: a refresh token of a job that somebody paused and forgot is worth most."""
    job_id = await in_state(database, status)
    await aged(database, job_id, MAX_AGE - 60)
    assert await wiped(database) == 0
    await aged(database, job_id, MAX_AGE + 60)
    assert await wiped(database) == 1
    assert not await has_token(database, job_id)
    job = await database.read(read_job, "default", job_id)
    assert (job.status, job.token) == (after, None), "nobody can renew a token by a grant that is gone"
    if status in (JobStatus.PENDING, JobStatus.PROCESSING):
        assert job.error is not None
        assert job.error.type == "token_too_old"
        assert "30 days ago" in job.error.detail
    assert await wiped(database) == 0


async def test_a_paused_job_whose_token_was_wiped_asks_for_one_when_it_is_resumed(database: Database) -> None:
    job_id = await in_state(database, JobStatus.PAUSED)
    await aged(database, job_id, MAX_AGE + 60)
    await wiped(database)
    control = JobControl(database, lambda: None)
    resumed = await control.resume("default", job_id)
    assert resumed.status is JobStatus.NEEDS_TOKEN
    assert resumed.error is not None
    assert "while the job was paused" in resumed.error.detail
    assert (await control.replace_token("default", job_id, "key-1", b"new")).status is JobStatus.PROCESSING


async def test_a_token_that_was_replaced_is_as_old_as_the_new_one(database: Database) -> None:
    job_id = await in_state(database, JobStatus.PROCESSING)
    await aged(database, job_id, MAX_AGE + 60)
    await JobControl(database, lambda: None).replace_token("default", job_id, "key-1", b"new")
    assert await wiped(database) == 0


MARK = b"ciphertext-of-a-token-"
"""Random bytes of a ciphertext cannot be told from others: these can."""


def in_files(directory: Path) -> dict[str, int]:
    """File \u2192 how many of the ciphertexts are in it."""
    counts = {path.name: path.read_bytes().count(MARK) for path in directory.iterdir()}
    return {name: count for name, count in counts.items() if count}


@pytest.mark.parametrize("size", [100, 3_000, 40_000], ids=lambda size: f"{size} bytes")
async def test_the_ciphertext_of_a_wiped_token_is_gone_from_the_file_and_its_log(tmp_path: Path, size: int) -> None:
    """Rows that share a page, that have one to themselves, and that need several; wiped in another order."""
    ids = [f"job-{number:03}" for number in range(60)]
    database = SqliteDatabase(tmp_path / "store.db", exclusive=True, truncate_seconds=0.2)
    await database.start()
    try:
        await database.write(migrate)
        for start in range(0, len(ids), 7):
            await database.write(submit, [NewJob(id_, "default", "1", sealed(size)) for id_ in ids[start : start + 7]])
        await asyncio.to_thread(
            eventually, lambda: bool(in_files(tmp_path)), 10.0, "ciphertexts where they are looked for"
        )
        for job_id in ids[::2] + ids[1::2]:
            await database.write(wipe_token, job_id)
        await asyncio.to_thread(eventually, lambda: not in_files(tmp_path), 10.0, "files without a ciphertext")
    finally:
        await database.close()
    assert in_files(tmp_path) == {}


def sealed(size: int) -> bytes:
    return MARK + os.urandom(size)


async def test_without_overwriting_the_ciphertext_would_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search above can fail: a file that only unlinks rows keeps their bytes."""
    monkeypatch.setattr("app.store.sqlite_engine.PRAGMAS", ("PRAGMA journal_mode=WAL", "PRAGMA secure_delete=OFF"))
    database = SqliteDatabase(tmp_path / "store.db", exclusive=True)
    await database.start()
    try:
        await database.write(migrate)
        await database.write(submit, [NewJob("job-1", "default", "1", sealed(3_000))])
        await database.write(wipe_token, "job-1")
    finally:
        await database.close()
    assert in_files(tmp_path) == {"store.db": 1}
