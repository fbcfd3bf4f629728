"""`review-fetcher fetch`: from token to file, through interruptions, expired tokens and bad days."""

import asyncio
import csv
import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from app.cli.exits import CommandError, ExitCode, UsageError
from app.cli.fetching import Plan, run_fetch
from app.simulator import Catalogue, Faults, Simulator
from app.simulator.faults import ExpiredToken, Failure, Hold
from tests.support.simulator import running_simulator

TOKEN = "ya29.first-token-of-these-tests"
NEWER = "ya29.newer-token-of-these-tests"
WORLD = Catalogue(accounts=2, locations=3, reviews=120)
LONG_WORLD = Catalogue(accounts=2, locations=3, reviews=480)
LONG_PAGES = 6 * 10

DEADLINE_SECONDS = 60.0
"""Only ends a test that hangs."""

SETTINGS = {
    "RATELIMIT_TOKEN_BUCKET_CAPACITY": "0",
    "RATELIMIT_PER_MINUTE": "0",
    "RETRY_INITIAL_BACKOFF_MS": "1",
    "RETRY_MAX_BACKOFF_MS": "20",
}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


def plan(google: Simulator, token: str | None = TOKEN, out: str = "x.ndjson") -> Plan:
    return Plan(Path(out), out.rpartition(".")[2], token, google.url)


def left() -> list[str]:
    """What is in the folder now."""
    return sorted(path.name for path in Path().iterdir())


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def found(path: str) -> list[tuple[str, str]]:
    return sorted((line["location"], line["review_id"]) for line in lines(path))


def expected(world: Catalogue = WORLD) -> list[tuple[str, str]]:
    return sorted((name, review) for name in world.distinct_location_names() for review in world.review_ids(name))


def pages_asked_twice(google: Simulator) -> dict[tuple[str, str], int]:
    pages = (call for call in google.ledger.entries() if call["status"] == 200 and call["api"] != "tokeninfo")
    asked = Counter((call["path"], call["page_token"]) for call in pages)
    return {page: count for page, count in asked.items() if count > 1}


async def test_every_review_is_in_the_file_once_and_nothing_is_left_behind(faults: Faults) -> None:
    async with running_simulator(WORLD, faults) as google:
        assert await run_fetch(plan(google)) is ExitCode.OK
    assert found("x.ndjson") == expected()
    assert left() == ["x.ndjson"]


async def test_a_csv_has_the_same_reviews(tmp_path: Path) -> None:
    async with running_simulator(WORLD) as google:
        assert await run_fetch(plan(google, out="x.csv")) is ExitCode.OK
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted((row["location"], row["review_id"]) for row in rows) == expected()
    assert "raw" not in rows[0]


async def test_an_expired_token_ends_with_5_and_a_newer_one_goes_on_at_the_same_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with running_simulator(WORLD, Faults(rules=(ExpiredToken(api="reviews", after=7, times=1),))) as google:
        assert await run_fetch(plan(google)) is ExitCode.NEEDS_TOKEN
        assert left() == ["x.ndjson.state"]
        assert await run_fetch(plan(google, NEWER)) is ExitCode.OK
        assert pages_asked_twice(google).keys() <= {("/tokeninfo", "")}
    assert found("x.ndjson") == expected()
    assert TOKEN not in "".join(capsys.readouterr())


async def test_a_sealing_key_that_is_gone_is_told_and_a_token_makes_up_for_it(tmp_path: Path) -> None:
    away = Failure(api="reviews", status=503, after=7)
    async with running_simulator(WORLD, Faults(rules=(away,))) as google:
        assert await run_fetch(plan(google)) is ExitCode.JOB_INCOMPLETE
        key = tmp_path / "x.ndjson.state/sealing.key"
        kept = key.read_bytes()
        key.unlink()
        with pytest.raises(CommandError, match=r"sealing\.key is gone") as told:
            await run_fetch(plan(google, token=None))
        assert told.value.code is ExitCode.NEEDS_TOKEN
        assert not key.exists()
        key.touch(mode=0o600)
        key.write_bytes(kept[::-1])
        with pytest.raises(CommandError, match=r"sealing\.key holds another key"):
            await run_fetch(plan(google, token=None))
        google.clear_faults()
        assert await run_fetch(plan(google, NEWER)) is ExitCode.OK
    assert found("x.ndjson") == expected()


async def test_the_state_holds_no_token_in_clear() -> None:
    async with running_simulator(WORLD, Faults(rules=(ExpiredToken(api="reviews", after=2, times=1),))) as google:
        assert await run_fetch(plan(google)) is ExitCode.NEEDS_TOKEN
    assert_sealed(Path("x.ndjson.state"))


def assert_sealed(state: Path) -> None:
    assert state.stat().st_mode & 0o077 == 0
    files = {file.name: file.read_bytes() for file in state.iterdir()}
    assert files.keys() >= {"reviews.db", "sealing.key"}
    assert [name for name, content in files.items() if TOKEN.encode() in content] == []


async def test_a_refused_token_fails_the_job_and_the_next_token_begins_a_new_one() -> None:
    async with running_simulator(WORLD) as google:
        with pytest.raises(CommandError) as failed:
            await run_fetch(plan(google, "invalid-token-of-these-tests"))
        assert failed.value.code is ExitCode.JOB_FAILED
        assert "invalid-token" not in str(failed.value)
        assert left() == []
        assert await run_fetch(plan(google)) is ExitCode.OK


async def test_what_was_given_up_ends_with_4_and_the_next_run_retries_only_that() -> None:
    location = next(WORLD.distinct_location_names())
    away = Failure(api="reviews", path=location, status=503)
    async with running_simulator(WORLD, Faults(rules=(away,))) as google:
        assert await run_fetch(plan(google)) is ExitCode.JOB_INCOMPLETE
        assert found("x.ndjson") == [review for review in expected() if review[0] != location]
        google.clear_faults()
        assert await run_fetch(plan(google, token=None)) is ExitCode.OK
        assert pages_asked_twice(google) == {}
    assert found("x.ndjson") == expected()
    assert left() == ["x.ndjson"]


async def test_a_file_that_could_not_be_written_is_written_by_the_next_run_without_a_call(tmp_path: Path) -> None:
    (tmp_path / "x.ndjson").mkdir()
    async with running_simulator(WORLD) as google:
        with pytest.raises(CommandError, match=r"cannot write x\.ndjson"):
            await run_fetch(plan(google))
        (tmp_path / "x.ndjson").rmdir()
        calls = len(google.ledger.entries())
        assert await run_fetch(plan(google, token=None)) is ExitCode.OK
        assert len(google.ledger.entries()) == calls
    assert found("x.ndjson") == expected()


async def test_an_unfinished_job_stays_with_the_google_it_began_with() -> None:
    async with running_simulator(WORLD, Faults(rules=(ExpiredToken(api="reviews", after=2, times=1),))) as google:
        assert await run_fetch(plan(google)) is ExitCode.NEEDS_TOKEN
    with pytest.raises(UsageError, match="unfinished job"):
        await run_fetch(Plan(Path("x.ndjson"), "ndjson", NEWER, mock=True))


async def test_without_a_token_there_is_nothing_to_begin() -> None:
    with pytest.raises(UsageError, match="REVIEW_FETCHER_TOKEN"):
        await run_fetch(Plan(Path("x.ndjson"), "ndjson", None, mock=True))
    assert left() == []


async def start(google: Simulator, token: str) -> asyncio.subprocess.Process:
    """As a user does, with the token on stdin."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "fetch", "--out", "x.ndjson", "--token", "-", "--google-url", google.url),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdin is not None
    process.stdin.write(f"{token}\n".encode())
    await process.stdin.drain()
    process.stdin.close()
    return process


async def told_until(process: asyncio.subprocess.Process, words: bytes) -> None:
    """Returns when the process has written the words to stderr."""
    assert process.stderr is not None
    while words not in (line := await process.stderr.readline()):
        assert line, "it ended without saying so"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_job_goes_on_where_it_stopped(number: signal.Signals) -> None:
    hold = Faults(rules=(Hold(api="reviews", after=6),))
    async with asyncio.timeout(DEADLINE_SECONDS), running_simulator(LONG_WORLD, hold) as google:
        process = await start(google, TOKEN)
        assert await google.signals.reached({"held": 1}, DEADLINE_SECONDS)
        process.send_signal(number)
        await told_until(process, b"Stopping at the next page")
        google.clear_faults()
        google.release()
        await process.communicate()
        assert process.returncode == ExitCode.INTERRUPTED
        assert left() == ["x.ndjson.state"]
        assert 6 < google.ledger.calls("reviews") < LONG_PAGES
        again = await start(google, NEWER)
        _, told = await again.communicate()
        assert again.returncode == ExitCode.OK, told.decode()
        assert pages_asked_twice(google) == {}
        assert google.ledger.calls("tokeninfo") == 2, "once for each of the two tokens"
    assert b"Going on with job" in told
    assert found("x.ndjson") == expected(LONG_WORLD)


async def test_a_job_that_was_killed_goes_on_too() -> None:
    async with (
        asyncio.timeout(DEADLINE_SECONDS),
        running_simulator(WORLD, Faults(rules=(Hold(api="reviews", after=6),))) as google,
    ):
        process = await start(google, TOKEN)
        assert await google.signals.reached({"held": 1}, DEADLINE_SECONDS)
        process.kill()
        await process.communicate()
        google.clear_faults()
        assert await run_fetch(plan(google, token=None)) is ExitCode.OK
    assert found("x.ndjson") == expected()


def test_the_truth_is_the_worlds() -> None:
    assert len(expected()) == 2 * 3 * 120 == len(set(expected()))
