"""All work at a glance, and the settings, on the command line."""

import asyncio
import json
from pathlib import Path

import pytest

from app.cli.exits import ExitCode
from app.cli.overview import bars
from app.models.job import JobStatus
from app.store.activity import MINUTE, Activity, add_activity
from app.store.sqlite import SqliteDatabase
from tests.support.jobs import in_state
from tests.unit.cli.conftest import Run

STORE = Path("data/review-fetcher.db")


def fill(*states: JobStatus) -> None:
    """Jobs in these states, and some work in the minute that runs."""

    async def write() -> None:
        database = SqliteDatabase(STORE, exclusive=False)
        await database.start()
        try:
            for status in states:
                await in_state(database, status)
            now = int((await database.read(lambda transaction: transaction.now)) // MINUTE)
            done = [Activity("default", now, reviews=50, calls=40, throttled=2), Activity("other", now, reviews=999)]
            await database.write(add_activity, done)
        finally:
            await database.close()

    asyncio.run(write())


def test_an_empty_store_is_told_without_numbers_that_mean_nothing(run: Run) -> None:
    run("migrate")
    ended = run("overview")
    assert ended.code == ExitCode.OK
    assert "none yet" in ended.out
    assert "no reviews" in ended.out
    assert "oldest waiting" not in ended.out
    assert "not published" not in ended.out


def test_jobs_the_last_hour_and_what_waits_are_told(run: Run) -> None:
    run("migrate")
    fill(JobStatus.NEEDS_TOKEN, JobStatus.PENDING)
    ended = run("overview")
    assert "1 pending, 1 needs_token" in ended.out
    assert "█" in ended.out
    assert "40 in the last hour, 2 of them throttled" in ended.out
    assert "accounts of accounts, job job-" in ended.out
    assert "token_expired" in ended.out
    found = json.loads(run("overview", "--json").out)
    assert (found["jobs"]["pending"], sum(minute["reviews"] for minute in found["activity"])) == (1, 50)
    assert json.loads(run("overview", "--tenant", "other", "--json").out)["jobs"]["pending"] == 0


def test_reviews_that_are_not_published_are_told_where_kafka_is_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("migrate")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092")
    assert "not published" not in run("overview").out
    from app.config import get_settings

    get_settings.cache_clear()
    assert "not published" in run("overview").out


def test_a_service_that_is_not_there_is_told(run: Run) -> None:
    ended = run("overview", "--server", "http://127.0.0.1:1")
    assert ended.code == ExitCode.FAILED
    assert "does the service run there?" in ended.err


@pytest.mark.parametrize(
    ("numbers", "drawn"), [([], ""), ([0, 0], "  "), ([1, 1000], "▁█"), ([4, 8, 0, 2], "▄█ ▂"), ([7], "█")]
)
def test_what_is_not_zero_is_seen(numbers: list[int], drawn: str) -> None:
    assert bars(numbers) == drawn


def test_settings_show_their_source_and_hide_secrets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEYS", "a-key-that-nobody-may-read")
    monkeypatch.setenv("WORKER_CONCURRENCY", "3")
    ended = run("settings")
    rows = [line.split() for line in ended.out.splitlines()]
    assert rows[0] == ["setting", "value", "source"]
    assert ["WORKER_CONCURRENCY", "3", "set"] in rows
    assert ["API_KEYS", "set", "set"] in rows
    assert ["TOKEN_SEALING_KEYS", "not", "set", "default"] in rows
    printed = run("settings", "--json")
    assert "a-key-that-nobody-may-read" not in ended.out + ended.err + printed.out
    (setting,) = [item for item in json.loads(printed.out)["settings"] if item["name"] == "WORKER_CONCURRENCY"]
    assert (setting["value"], setting["default"], setting["source"], setting["secret"]) == ("3", "16", "set", False)


def test_settings_that_cannot_be_used_are_explained(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKER_CONCURRENCY", "many")
    ended = run("settings")
    assert ended.code != ExitCode.OK
    assert "WORKER_CONCURRENCY: must be a whole number" in ended.err
