"""`review-fetcher serve`, and the commands that look at what it does."""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import SecretStr

from app.api.schemas import ReviewFetchRequest
from app.cli.exits import ExitCode
from app.cli.remote import Service

DEADLINE_SECONDS = 90.0
"""Only ends a test that hangs."""

PROJECT = Path(__file__).parents[2]
KEY = "a-key-for-these-tests-alone"
TOKEN = "ya29.token-for-serve-tests"


class Ended(NamedTuple):
    """How a command ended."""

    code: int | None
    out: str
    err: str


def environment(directory: Path, **settings: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "PYTHONWARNINGS")}
    store = f"sqlite:///{directory / 'store.db'}"
    return kept | {"PYTHONPATH": str(PROJECT), "DATABASE_URL": store, "COLUMNS": "200"} | settings


async def start(directory: Path, *arguments: str, **settings: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(directory, **settings),
        cwd=directory,
    )


async def ended(process: asyncio.subprocess.Process, typed: str = "") -> Ended:
    async with asyncio.timeout(DEADLINE_SECONDS):
        out, err = await process.communicate(typed.encode())
    return Ended(process.returncode, out.decode(), err.decode())


async def command(directory: Path, *arguments: str, **settings: str) -> Ended:
    return await ended(await start(directory, *arguments, **settings))


class Serving(NamedTuple):
    """A running `serve`."""

    process: asyncio.subprocess.Process
    url: str


@asynccontextmanager
async def serving(directory: Path, *, port: int = 0, **settings: str) -> AsyncIterator[Serving]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "serve", "--port", str(port)),
        stderr=asyncio.subprocess.PIPE,
        env=environment(directory, **settings),
        cwd=directory,
    )
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            lines = await until(process, b"Listening on")
        yield Serving(process, re.findall(r"Listening on (http://\S+)", lines)[0])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until(process: asyncio.subprocess.Process, words: bytes) -> str:
    assert process.stderr is not None
    seen = b""
    while words not in seen:
        line = await process.stderr.readline()
        assert line, f"it ended: {seen.decode()}"
        seen += line
    return seen.decode()


def job_of(told: Ended) -> dict[str, Any]:
    assert told.code == ExitCode.OK, told.err
    job: dict[str, Any] = json.loads(told.out)
    return job


async def submitted(service: Serving) -> str:
    """A job's id, once the service has logged its end."""
    async with Service(service.url, KEY) as client, asyncio.timeout(DEADLINE_SECONDS):
        job_id = (await client.submit(ReviewFetchRequest(access_token=SecretStr(TOKEN)), None)).job_id
        assert job_id in (await until(service.process, b"job.ended")).splitlines()[-1]
        return job_id


async def test_a_job_is_seen_in_the_store_and_over_http_alike(tmp_path: Path) -> None:
    async with serving(tmp_path, API_KEYS=KEY, SIMULATOR_LOCATIONS="2") as service:
        job_id = await submitted(service)
        local = job_of(await command(tmp_path, "jobs", "show", job_id, "--json"))
        remote = job_of(
            await command(
                tmp_path, "jobs", "show", job_id, "--server", service.url, "--json", REVIEW_FETCHER_API_KEY=KEY
            )
        )
        assert local == remote
        assert (local["status"], local["token"]["seconds_left"]) == ("completed", None)
        assert local["progress"]["reviews"]["fetched"] == 400
        refused = await command(tmp_path, "jobs", "list", "--server", service.url)
        assert refused.code == ExitCode.FAILED
        assert "HTTP 401" in refused.err
        assert "REVIEW_FETCHER_API_KEY" in refused.err


async def test_the_quota_is_seen_in_the_store_and_over_http_alike(tmp_path: Path) -> None:
    async with serving(tmp_path, API_KEYS=KEY) as service:
        await submitted(service)
        limits = []
        for options in ((), ("--server", service.url)):
            told = await command(tmp_path, "quota", "--json", *options, REVIEW_FETCHER_API_KEY=KEY)
            budgets = json.loads(told.out)["budgets"]
            limits.append([(budget["api"], [window["limit"] for window in budget["windows"]]) for budget in budgets])
        assert limits == [[(api, [100, 300]) for api in ("accounts", "locations", "reviews")]] * 2
        refused = await command(tmp_path, "quota", "--server", service.url)
        assert (refused.code, refused.out) == (ExitCode.FAILED, "")
        assert "HTTP 401" in refused.err


async def test_a_second_service_on_the_same_file_is_refused_in_a_line(tmp_path: Path) -> None:
    async with serving(tmp_path):
        second = await command(tmp_path, "serve", "--port", "0")
        assert second.code == ExitCode.FAILED
        assert "Another service process works on this store" in second.err
        assert "Traceback" not in second.err
        assert (await command(tmp_path, "migrate")).code == ExitCode.FAILED
        assert (await command(tmp_path, "doctor")).code == ExitCode.OK


async def test_ctrl_c_is_the_usual_end(tmp_path: Path) -> None:
    async with serving(tmp_path) as service, asyncio.timeout(DEADLINE_SECONDS):
        service.process.send_signal(signal.SIGINT)
        await service.process.wait()
        assert service.process.returncode == ExitCode.OK


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ENVIRONMENT": "production"}, ["MOCK_GOOGLE_API", "API_KEYS", "TOKEN_SEALING_KEYS"]),
        ({"API_KEYS": "short"}, ["API_KEYS holds an entry that cannot be used"]),
        ({"SIMULATOR_FAULTS": "nowhere.json"}, ["SIMULATOR_FAULTS"]),
    ],
    ids=["production", "api-key", "faults"],
)
async def test_a_service_that_must_not_start_says_what_to_set(
    tmp_path: Path, settings: dict[str, str], words: list[str]
) -> None:
    told = await command(tmp_path, "serve", "--port", "0", **settings)
    assert told.code == ExitCode.FAILED
    assert [word for word in words if word not in told.err] == []
    assert "Traceback" not in told.err
