"""`jobs` and `dlq` over a local store: what goes to stdout, what to stderr, and how it ends."""

import asyncio
import io
import json
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from app.cli.exits import ExitCode
from app.models.errors import JobNotFoundError
from app.models.job import JobStatus
from app.store.database import Database
from app.store.migrate import migrate
from app.store.sqlite import SqliteDatabase
from tests.support.jobs import finished, given_up, in_state
from tests.unit.cli.conftest import Run

STORE = Path("data/review-fetcher.db")
TOKEN = "ya29.a-token-for-these-commands"
HOSTILE = "\x1b[2J\nerror: forged\r\x9b31m\u202e"

T = TypeVar("T")


def stored(work: Callable[[Database], Awaitable[T]]) -> T:
    """Do it in the store of the commands, as a service would."""

    async def write() -> T:
        database = SqliteDatabase(STORE, exclusive=True)
        await database.start()
        try:
            await database.write(migrate)
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(write())


def job_in(status: JobStatus) -> str:
    return stored(lambda database: in_state(database, status))


def change(statement: str) -> None:
    with closing(sqlite3.connect(STORE)) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [("pause", "processing", "paused"), ("resume", "paused", "processing"), ("cancel", "paused", "cancelled")],
)
def test_an_action_shows_the_job_as_it_stands_afterwards(run: Run, action: str, before: str, after: str) -> None:
    job_id = job_in(JobStatus(before))
    ended = run("jobs", action, job_id, "--json")
    assert ended.code == ExitCode.OK
    assert json.loads(ended.out)["status"] == after
    assert ended.err == ""
    assert f"state {after}" in " ".join(run("jobs", "show", job_id).out.split())


@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
def test_a_refused_action_is_a_line_and_changes_nothing(run: Run, action: str) -> None:
    job_id = job_in(JobStatus.COMPLETED)
    ended = run("jobs", action, job_id)
    assert (ended.code, ended.out) == (ExitCode.FAILED, "")
    assert ended.err.startswith("error: The job is completed, which does not allow the action")
    assert json.loads(run("jobs", "show", job_id, "--json").out)["status"] == "completed"


@pytest.mark.parametrize(
    "command",
    [
        ("jobs", "show"),
        ("jobs", "watch"),
        ("jobs", "accounts"),
        ("jobs", "locations"),
        ("jobs", "reconcile"),
        ("jobs", "cancel"),
        ("jobs", "pause"),
        ("jobs", "resume"),
        ("jobs", "token"),
        ("reviews", "export", "--out", "x.csv"),
    ],
    ids=" ".join,
)
def test_an_unknown_job_is_a_line(run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]) -> None:
    monkeypatch.setenv("REVIEW_FETCHER_TOKEN", TOKEN)
    run("migrate")
    ended = run(*command, "no-such-job")
    assert (ended.code, ended.out) == (ExitCode.FAILED, "")
    assert ended.err == f"error: {JobNotFoundError()}\n"


def test_a_new_token_comes_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = job_in(JobStatus.NEEDS_TOKEN)
    monkeypatch.setenv("REVIEW_FETCHER_TOKEN", TOKEN)
    ended = run("jobs", "token", job_id, "--json")
    assert json.loads(ended.out)["status"] == "processing"
    assert TOKEN not in ended.out + ended.err
    assert TOKEN.encode() not in STORE.read_bytes()


def test_a_token_that_cannot_be_one_is_not_repeated(run: Run) -> None:
    ended = run("jobs", "submit", "--token", "kurz ñ token")
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    warning, error = ended.err.splitlines()
    assert warning == "Others on this machine can read --token of this command: set REVIEW_FETCHER_TOKEN instead."
    assert error.startswith("error: --token: an access token has")
    assert "kurz" not in ended.err


@pytest.mark.parametrize("command", [("jobs", "submit"), ("jobs", "token", "job-1")])
def test_without_a_token_it_is_said_where_to_give_one(run: Run, command: tuple[str, ...]) -> None:
    ended = run(*command)
    assert ended.code == ExitCode.USAGE
    assert "set REVIEW_FETCHER_TOKEN, or give --token -" in ended.err


def test_a_submitted_job_waits_for_the_next_service_and_its_token_is_sealed(run: Run) -> None:
    run("migrate")
    job_id = run("jobs", "submit", "--token", TOKEN, "--idempotency-key", "import-1").out.strip()
    assert json.loads(run("jobs", "show", job_id, "--json").out)["status"] == "pending"
    again = json.loads(run("jobs", "submit", "--token", TOKEN, "--idempotency-key", "import-1", "--json").out)
    assert again["job_id"] == job_id
    other = run("jobs", "submit", "--token", f"{TOKEN}-2", "--idempotency-key", "import-1")
    assert (other.code, other.out) == (ExitCode.FAILED, "")
    assert "Idempotency-Key" in other.err
    assert TOKEN.encode() not in STORE.read_bytes()


GRANT = {"refresh_token": "1//a-refresh-token", "client_id": "client.example", "client_secret": "a-client-secret"}


def test_a_grant_comes_from_a_file_as_googles_tools_write_it(run: Run) -> None:
    run("migrate")
    Path("grant.json").write_text(json.dumps(GRANT | {"type": "authorized_user"}))
    job_id = run("jobs", "submit", "--grant", "grant.json").out.strip()
    assert json.loads(run("jobs", "show", job_id, "--json").out)["token"]["refreshable"] is True
    assert [part for part in GRANT.values() if part.encode() in STORE.read_bytes()] == []


def test_a_grant_comes_from_the_environment_and_is_not_asked_for_twice(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = job_in(JobStatus.NEEDS_TOKEN)
    for name, part in GRANT.items():
        monkeypatch.setenv(f"REVIEW_FETCHER_{name.upper()}", part)
    ended = run("jobs", "token", job_id, "--json")
    assert json.loads(ended.out)["status"] == "processing"
    assert json.loads(ended.out)["token"]["refreshable"] is True
    assert [part for part in GRANT.values() if part in ended.out + ended.err] == []


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "[" * 100_000, '{"refresh_token": "1//secret"}'),
        *(json.dumps(GRANT | {"client_id": part}) for part in ("", None, 7, True, ["client.example"])),
    ],
    ids=lambda text: text[:20],
)
def test_a_grant_that_is_none_is_told_and_not_repeated(run: Run, text: str) -> None:
    Path("grant.json").write_text(text)
    ended = run("jobs", "submit", "--grant", "grant.json")
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert ended.err.startswith("error: --grant")
    assert [part for part in (*GRANT.values(), "1//secret") if part in ended.err] == []


def test_a_token_gets_no_grant_of_nulls(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = job_in(JobStatus.NEEDS_TOKEN)
    monkeypatch.setenv("REVIEW_FETCHER_TOKEN", TOKEN)
    Path("grant.json").write_text(json.dumps(dict.fromkeys(GRANT)))
    ended = run("jobs", "token", job_id, "--grant", "grant.json")
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert ended.err.startswith("error: --grant: grant.json is no JSON object with")
    assert json.loads(run("jobs", "show", job_id, "--json").out)["status"] == "needs_token"


def test_a_part_of_a_grant_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEW_FETCHER_REFRESH_TOKEN", GRANT["refresh_token"])
    ended = run("jobs", "submit")
    assert ended.code == ExitCode.USAGE
    assert "come together, or not at all" in ended.err


def test_two_secrets_cannot_come_from_stdin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    ended = run("jobs", "submit", "--token", "-", "--grant", "-")
    assert ended.code == ExitCode.USAGE
    assert "cannot both be read from stdin" in ended.err


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (JobStatus.COMPLETED, ExitCode.OK),
        (JobStatus.FAILED, ExitCode.JOB_FAILED),
        (JobStatus.DLQ, ExitCode.JOB_INCOMPLETE),
        (JobStatus.NEEDS_TOKEN, ExitCode.NEEDS_TOKEN),
        (JobStatus.CANCELLED, ExitCode.JOB_CANCELLED),
    ],
)
def test_watching_ends_as_the_job_did(run: Run, status: JobStatus, code: ExitCode) -> None:
    job_id = job_in(status)
    ended = run("jobs", "watch", job_id)
    assert ended.code == code
    assert f"state {status}" in " ".join(ended.out.split())
    assert f"{status}: accounts" in ended.err
    events = [json.loads(line) for line in run("jobs", "watch", job_id, "--json").out.splitlines()]
    assert events[0]["event"] == "state"
    assert events[0]["data"]["status"] == status


def test_the_next_page_of_jobs_is_behind_the_cursor_that_is_told(run: Run) -> None:
    ids = {job_in(JobStatus.COMPLETED) for _ in range(3)}
    first = run("jobs", "list", "--limit", "2")
    cursor = first.err.split("--cursor ")[1].strip()
    second = run("jobs", "list", "--limit", "2", "--cursor", cursor)
    listed = [line.split()[0] for line in (first.out + second.out).splitlines() if line.startswith("job-")]
    assert set(listed) == ids
    assert second.err == ""


def test_locations_say_what_was_fetched(run: Run) -> None:
    job_id = stored(lambda database: finished(database, {"locations/1": ["a"], "locations/2": ["b"]}))
    assert len(run("jobs", "locations", job_id).out.splitlines()) == 3
    page = run("jobs", "locations", job_id, "--limit", "1", "--json")
    assert [item["location"] for item in json.loads(page.out)["locations"]] == ["locations/1"]


def test_what_is_missing_is_told_with_its_reason(run: Run) -> None:
    job = stored(given_up)
    (location,) = json.loads(run("jobs", "locations", job.id, "--gaps", "--json").out)["locations"]
    assert location["gap_reason"] in run("jobs", "locations", job.id, "--state", "dead").out
    assert run("jobs", "locations", job.id, "--state", "done").err == "There are no such locations.\n"
    refused = run("jobs", "locations", job.id, "--account", "Berlin")
    assert refused.code == ExitCode.USAGE
    assert refused.err == "error: --account: an account is named accounts/{id}\n"
    whole = json.loads(run("jobs", "reconcile", job.id, "--json").out)
    assert (whole["whole"], whole["dead"]) == (False, 1)
    assert "everything is there  no" in run("jobs", "reconcile", job.id).out


def test_what_others_wrote_neither_forges_lines_nor_steers_the_terminal(run: Run) -> None:
    job = stored(given_up)
    hostile = HOSTILE.replace("\n", "'||char(10)||'")
    change(f"UPDATE locations SET title = '{hostile}'")  # noqa: S608 - a constant
    change(f"UPDATE dead_letters SET resource = '{hostile}', cause = 'x'")  # noqa: S608
    for command in (("jobs", "show", job.id), ("jobs", "locations", job.id), ("dlq", "list")):
        for form in ((), ("--json",)):
            ended = run(*command, *form)
            assert ended.code == ExitCode.OK
            assert {"\x1b", "\x9b", "\u202e", "\r"}.isdisjoint(ended.out)
            assert not [line for line in ended.out.splitlines() if line.startswith("error")]


def test_dead_letters_are_listed_by_cause_and_job(run: Run) -> None:
    job = stored(given_up)
    (listed,) = json.loads(run("dlq", "list", "--json").out)["items"]
    assert (listed["job_id"], listed["cause"]) == (job.id, "http_503")
    assert job.id in run("dlq", "list", "--cause", "http_503", "--job", job.id).out
    none = run("dlq", "list", "--cause", "http_500")
    assert (none.code, none.out) == (ExitCode.OK, "")
    assert none.err == "There are no such dead letters.\n"


@pytest.mark.parametrize(
    "which",
    [
        (),
        ("--all", "--ids", "1"),
        ("--cause", "x", "--all"),
        ("--ids", "one"),
        ("--ids", ""),
        ("--ids", "0"),
        ("--all", "--rate", "0"),
    ],
    ids=" ".join,
)
def test_a_redrive_says_which_exactly_once(run: Run, which: tuple[str, ...]) -> None:
    assert run("dlq", "redrive", "--yes", *which).code == ExitCode.USAGE


def test_a_redrive_that_nobody_can_be_asked_about_is_not_done(run: Run) -> None:
    job = stored(given_up)
    ended = run("dlq", "redrive", "--job", job.id)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert "--yes" in ended.err
    assert "--dry-run" in ended.err
    assert json.loads(run("jobs", "show", job.id, "--json").out)["status"] == "dlq"


def test_a_dry_run_counts_and_yes_does_it(run: Run) -> None:
    job = stored(given_up)
    dry = run("dlq", "redrive", "--all", "--dry-run", "--json")
    assert json.loads(dry.out) == {"matched": 1, "redriven": 0, "parked": 0}
    assert json.loads(run("jobs", "show", job.id, "--json").out)["status"] == "dlq"
    done = run("dlq", "redrive", "--cause", "http_503", "--yes")
    assert "redriven" in done.out
    assert json.loads(run("jobs", "show", job.id, "--json").out)["status"] == "processing"


def test_one_dead_letter_is_told_with_its_error_and_its_page(run: Run) -> None:
    stored(given_up)
    (listed,) = json.loads(run("dlq", "list", "--json").out)["items"]
    shown = run("dlq", "show", str(listed["id"]))
    assert "Google answered 503 four times." in shown.out
    assert "p2" in shown.out
    assert json.loads(run("dlq", "show", str(listed["id"]), "--json").out)["earlier"] == []
    unknown = run("dlq", "show", "4711")
    assert (unknown.code, unknown.out) == (ExitCode.FAILED, "")
    assert unknown.err.startswith("error: There is no dead letter with this id.")


def test_causes_are_counted(run: Run) -> None:
    job = stored(given_up)
    (cause,) = json.loads(run("dlq", "causes", "--json").out)["causes"]
    assert (cause["cause"], cause["count"]) == ("http_503", 1)
    assert "http_503" in run("dlq", "causes", "--job", job.id).out
    assert run("dlq", "causes", "--job", "another").err == "There are no such dead letters.\n"


def test_accounts_are_listed(run: Run) -> None:
    job = stored(given_up)
    assert "accounts/1" in run("jobs", "accounts", job.id).out
    (account,) = json.loads(run("jobs", "accounts", job.id, "--json").out)["accounts"]
    assert account["locations"]["dead"] == 1


def test_a_tenant_beside_a_server_is_refused(run: Run) -> None:
    ended = run("jobs", "list", "--server", "http://127.0.0.1:1", "--tenant", "acme")
    assert ended.code == ExitCode.USAGE
    assert "the API key says whose jobs" in ended.err
