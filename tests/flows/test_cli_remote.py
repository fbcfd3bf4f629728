"""The commands against a running service, and against its store beside it."""

import asyncio
import csv
import json
import signal
from pathlib import Path
from typing import Any

import pytest
from local_services.process import free_ports

from app.cli.exits import ExitCode
from app.simulator import Catalogue
from tests.flows.test_cli_serve import DEADLINE_SECONDS, TOKEN, Ended, Serving, command, ended, serving, start, until

FAST: dict[str, Any] = {"RATELIMIT_TOKEN_BUCKET_CAPACITY": "0", "RATELIMIT_PER_MINUTE": "0", "SIMULATOR_LOCATIONS": "2"}
SLOW: dict[str, Any] = {
    "RATELIMIT_TOKEN_BUCKET_CAPACITY": "3",
    "RATELIMIT_REFILL_RATE": "0.001",
    "SIMULATOR_LOCATIONS": "2",
}
REVIEWS = 2 * 2 * 100

QUICK: dict[str, Any] = {"RETRY_INITIAL_BACKOFF_MS": "1", "RETRY_MAX_BACKOFF_MS": "20"}


def result(told: Ended, code: ExitCode = ExitCode.OK) -> Any:
    """What the one JSON document on stdout says."""
    assert told.code == code, told.err
    return json.loads(told.out)


async def submitted(directory: Path, service: Serving, *options: str) -> str:
    """The id of a job that was submitted with the token on stdin."""
    process = await start(directory, "jobs", "submit", "--token", "-", "--server", service.url, *options)
    told = await ended(process, f"{TOKEN}\n")
    assert told.code == ExitCode.OK, told.err
    assert TOKEN not in told.out + told.err
    return told.out.split()[0]


async def test_a_job_is_submitted_watched_and_fetched(tmp_path: Path) -> None:
    async with serving(tmp_path, **FAST) as service:
        here = {"REVIEW_FETCHER_URL": service.url}
        job_id = await submitted(tmp_path, service, "--watch")
        watched = await command(tmp_path, "jobs", "watch", job_id, "--json", **here)
        assert watched.code == ExitCode.OK, watched.err
        last = json.loads(watched.out.splitlines()[-1])
        assert (last["event"], last["data"]["status"]) == ("done", "completed")
        assert last["data"] == result(await command(tmp_path, "jobs", "show", job_id, "--json", **here)) | {
            "token": last["data"]["token"]
        }
        assert result(await command(tmp_path, "jobs", "list", "--json", **here))["jobs"][0]["job_id"] == job_id
        exported = await command(tmp_path, "reviews", "export", job_id, "--out", "x.csv", **here)
        assert (exported.code, exported.out) == (ExitCode.OK, ""), exported.err
        with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
            rows = {(row["location"], row["review_id"]) for row in csv.DictReader(file)}
        assert len(rows) == REVIEWS
        tailed = await command(tmp_path, "reviews", "tail", "--cursor-file", "cursor", **here)
        lines = [json.loads(line) for line in tailed.out.splitlines()]
        assert sorted((line["location"], line["review_id"]) for line in lines) == sorted(rows)
        assert (await command(tmp_path, "reviews", "tail", "--cursor-file", "cursor", **here)).out == ""


async def test_ctrl_c_ends_the_watching_and_not_the_job(tmp_path: Path) -> None:
    async with serving(tmp_path, **SLOW) as service, asyncio.timeout(DEADLINE_SECONDS):
        job_id = await submitted(tmp_path, service)
        for options in (("--server", service.url), ()):
            watching = await start(tmp_path, "jobs", "watch", job_id, *options)
            await until(watching, b"processing: ")
            watching.send_signal(signal.SIGINT)
            told = await ended(watching)
            assert (told.code, told.out) == (ExitCode.INTERRUPTED, "")
            assert "The job goes on without being watched" in told.err
            assert "Traceback" not in told.err
        job = result(await command(tmp_path, "jobs", "show", job_id, "--json", "--server", service.url))
        assert job["status"] == "processing"


async def test_watching_goes_on_when_the_service_is_back(tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_text(json.dumps({"rules": [{"fault": "hold", "api": "reviews"}]}))
    (port,) = free_ports(1)
    held = serving(tmp_path, port=port, **FAST, SIMULATOR_FAULTS="faults.json")
    async with held as service, asyncio.timeout(DEADLINE_SECONDS):
        job_id = await submitted(tmp_path, service)
        watching = await start(tmp_path, "jobs", "watch", job_id, "--server", service.url)
        await until(watching, b"processing: ")
        service.process.kill()
        await until(watching, b"Trying again in")
    async with serving(tmp_path, port=port, **FAST):
        told = await ended(watching)
    assert told.code == ExitCode.OK, told.err
    assert f"{REVIEWS} of {REVIEWS}" in told.out


async def test_the_feed_is_followed_through_a_restart(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with serving(tmp_path, port=port, **FAST) as service, asyncio.timeout(DEADLINE_SECONDS):
        await submitted(tmp_path, service, "--watch")
        tail = await start(tmp_path, "reviews", "tail", "--follow", "--cursor-file", "cursor", "--server", service.url)
        assert tail.stdout is not None
        lines = [await tail.stdout.readline() for _ in range(REVIEWS)]
        service.process.kill()
        await until(tail, b"Trying again in")
    async with serving(tmp_path, port=port, **FAST) as service, asyncio.timeout(DEADLINE_SECONDS):
        await submitted(tmp_path, service, "--watch")
        lines += [await tail.stdout.readline() for _ in range(REVIEWS)]
        tail.send_signal(signal.SIGTERM)
        assert (await ended(tail)).code == ExitCode.INTERRUPTED
    reviews = {(line["job_id"], line["location"], line["review_id"]) for line in map(json.loads, lines)}
    assert len(reviews) == len(lines) == 2 * REVIEWS


@pytest.mark.parametrize("beside", [True, False], ids=["the store", "the server"])
async def test_a_job_is_held_and_let_go(tmp_path: Path, beside: bool) -> None:
    """On SQLite too a command may write beside the service, which goes by it."""
    async with serving(tmp_path, **SLOW) as service:
        here = {} if beside else {"REVIEW_FETCHER_URL": service.url}
        job_id = await submitted(tmp_path, service)
        for action, status in (("pause", "paused"), ("resume", "processing"), ("cancel", "cancelled")):
            assert result(await command(tmp_path, "jobs", action, job_id, "--json", **here))["status"] in (
                status,
                "pending",
            )
        refused = await command(tmp_path, "jobs", "resume", job_id, **here)
        assert refused.code == ExitCode.FAILED
        assert "The job is cancelled, which does not allow the action resume." in refused.err
        watched = await command(tmp_path, "jobs", "watch", job_id, **here)
        assert watched.code == ExitCode.JOB_CANCELLED


async def test_a_service_begins_what_was_submitted_to_its_store(tmp_path: Path) -> None:
    async with serving(tmp_path, **FAST) as service:
        accepted = await command(tmp_path, "jobs", "submit", "--watch", REVIEW_FETCHER_TOKEN=TOKEN)
        assert accepted.code == ExitCode.OK, accepted.err
        assert f"{REVIEWS} of {REVIEWS}" in accepted.out
        job_id = accepted.out.split()[0]
        job = result(await command(tmp_path, "jobs", "show", job_id, "--json", "--server", service.url))
        assert job["status"] == "completed"


@pytest.mark.parametrize("beside", [True, False], ids=["the store", "the server"])
async def test_what_was_given_up_is_found_and_redriven(tmp_path: Path, beside: bool) -> None:
    location = next(Catalogue(accounts=2, locations=2, reviews=100, seed=1).distinct_location_names())
    rule = {"fault": "failure", "api": "reviews", "path": location, "status": 503, "times": 4}
    (tmp_path / "faults.json").write_text(json.dumps({"rules": [rule]}))
    async with serving(tmp_path, **FAST, **QUICK, SIMULATOR_FAULTS="faults.json") as service:
        here = {} if beside else {"REVIEW_FETCHER_URL": service.url}
        process = await start(tmp_path, "jobs", "submit", "--token", "-", "--watch", "--server", service.url)
        told = await ended(process, TOKEN)
        assert told.code == ExitCode.JOB_INCOMPLETE, told.err
        job_id = told.out.split()[0]
        (letter,) = result(await command(tmp_path, "dlq", "list", "--job", job_id, "--json", **here))["items"]
        assert (letter["cause"], letter["resource"]) == ("http_503", location)
        dry = await command(tmp_path, "dlq", "redrive", "--ids", str(letter["id"]), "--dry-run", "--json", **here)
        assert result(dry)["matched"] == 1
        done = await command(tmp_path, "dlq", "redrive", "--job", job_id, "--yes", "--json", **here)
        assert result(done)["redriven"] == 1
        assert (await command(tmp_path, "jobs", "watch", job_id, **here)).code == ExitCode.OK
        assert result(await command(tmp_path, "dlq", "list", "--json", **here))["items"] == []


async def test_a_key_without_the_scope_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path, API_KEYS="a-key-that-reads-and-no-more:read", **FAST) as service:
        here = {"REVIEW_FETCHER_URL": service.url, "REVIEW_FETCHER_API_KEY": "a-key-that-reads-and-no-more"}
        assert (await command(tmp_path, "jobs", "list", **here)).code == ExitCode.OK
        refused = await command(tmp_path, "jobs", "cancel", "job-1", **here)
        assert (refused.code, refused.out) == (ExitCode.FAILED, "")
        assert "HTTP 403" in refused.err
        assert "operate" in refused.err
        wrong = await command(tmp_path, "jobs", "list", **here | {"REVIEW_FETCHER_API_KEY": "another"})
        assert "HTTP 401" in wrong.err
        assert "REVIEW_FETCHER_API_KEY" in wrong.err
