"""`audit`, and that every command that changes a store is written down there. ASVS 5.0 V16."""

import asyncio
import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from alembic import command as alembic
from alembic.config import Config

import app.store.migrations
from app.cli import auditing
from app.cli.entry import application
from app.cli.exits import AwayError, ExitCode
from app.cli.local import user_of_this_machine
from app.config import get_settings
from app.credentials import KEY_BYTES
from app.models.access import Scope
from app.models.audit import Action
from app.models.audit_views import ALL_ENTRIES, AuditFilter, AuditPage
from app.models.job import JobStatus
from app.store.audit import read_audit
from app.store.database import Database, Transaction
from app.store.keys import create_key
from app.store.sqlite import SqliteDatabase
from app.store.submit import Callback
from tests.flows.test_audit import FORMS, ROUTES, TAKING
from tests.support import store
from tests.support.jobs import given_up, in_state
from tests.support.store import new_job, sqlite_database
from tests.unit.cli.conftest import Run
from tests.unit.cli.test_jobs_commands import HOSTILE, STORE, TOKEN, stored

DEEDS = {
    "jobs submit": Action.JOB_SUBMIT,
    "jobs cancel": Action.JOB_CANCEL,
    "jobs pause": Action.JOB_PAUSE,
    "jobs resume": Action.JOB_RESUME,
    "jobs token": Action.JOB_REPLACE_TOKEN,
    "jobs resend": Action.WEBHOOK_RESEND,
    "dlq redrive": Action.DEAD_LETTERS_REDRIVE,
    "reviews export": Action.REVIEWS_EXPORT,
    "keys create": Action.KEY_CREATE,
    "keys rotate": Action.KEY_ROTATE,
    "keys revoke": Action.KEY_REVOKE,
    "keys reseal": Action.SEALING_RESEAL,
    "keys forget": Action.SEALING_FORGET,
    "tenants set": Action.TENANT_SET,
    "tenants unset": Action.TENANT_SET,
    "erase tenant": Action.ERASE,
    "erase job": Action.ERASE,
    "erase reviewer": Action.ERASE,
    "migrate": Action.STORE_MIGRATE,
    "republish": Action.REPUBLISH,
}
"""Commands that change the local store, or hand out what is in it. Each is tried below."""

OWN_TESTS = ("migrate", "keys reseal", "keys forget")

ELSEWHERE = {
    "migrate-data": "tests/contract/test_copying.py and tests/flows/test_migrate_data.py: it needs a PostgreSQL",
    "fetch": "its store is its own, and goes with the job",
    "demo": "its store is its own, and goes with the demonstration",
    "serve": "what is done by a service is tried in tests/flows/test_audit.py",
    "simulate": "it has no store",
    "webhooks secrets": "it reads the key file, not a store: whoever can do that needs no command",
}

LOOKING = """
    erase list, erase show, tenants list, tenants show, jobs list, jobs show, jobs accounts, jobs locations,
    jobs reconcile, jobs watch, jobs webhooks, dlq list, dlq show, dlq causes, reviews tail, keys list, overview,
    quota, audit, settings, doctor, version
"""


def commands() -> Iterator[str]:
    def below(command: object, path: str) -> Iterator[str]:
        children = getattr(command, "commands", None)
        if children is None:
            yield path
        else:
            for name, one in children.items():
                yield from below(one, f"{path} {name}".strip())

    yield from below(typer.main.get_command(application), "")


def test_every_command_is_tried_or_only_looks() -> None:
    looking = {" ".join(name.split()) for name in LOOKING.split(",")}
    told = [*DEEDS, *ELSEWHERE, *looking]
    assert sorted(told) == sorted(commands())
    assert len(told) == len(set(told))


def test_every_action_is_something_that_is_tried() -> None:
    by_http = {deed.action for deed in [*ROUTES.values(), *TAKING.values(), *FORMS.values()]}
    elsewhere = {Action.SIGN_IN_FAILED, Action.STORE_COPY}  # tests/flows/test_audit.py, tests/contract/test_copying.py
    assert set(Action) == by_http | set(DEEDS.values()) | elsewhere


def entries(run: Run, *options: str) -> list[dict[str, object]]:
    shown = run("audit", *options, "--limit", "1000", "--json")
    assert shown.code == ExitCode.OK, shown.err
    return [json.loads(line) for line in shown.out.splitlines()]


async def _job_with_message(database: Database) -> str:
    store.CALLBACK = Callback("key-1", b"sealed", "https://example.com/hook")
    try:
        return await in_state(database, JobStatus.CANCELLED)
    finally:
        store.CALLBACK = None


async def _key(database: Database) -> str:
    record, _ = await database.write(create_key, "default", "for the test", [Scope.READ])
    return record.id


def ready_for(command: str) -> str:
    """The store with a job, or a key, to which this can be done; its id."""
    if command in ("keys rotate", "keys revoke"):
        return stored(_key)
    if command == "dlq redrive":
        return stored(given_up).id
    if command == "jobs resend":
        return stored(_job_with_message)
    state = {
        "jobs resume": JobStatus.PAUSED,
        "reviews export": JobStatus.COMPLETED,
        "erase job": JobStatus.COMPLETED,
    }.get(command, JobStatus.PENDING)
    return stored(lambda database: in_state(database, state))


@pytest.mark.parametrize("command", [name for name in DEEDS if name not in OWN_TESTS])
def test_a_command_is_written_down_with_the_user_of_the_machine(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    subject = ready_for(command)
    before = entries(run)
    monkeypatch.setenv("REVIEW_FETCHER_TOKEN", TOKEN)
    if command == "republish":
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka.invalid:9092")
        get_settings.cache_clear()
    words = {
        "jobs submit": ["--json"],
        "keys create": ["for the import"],
        "tenants set": ["acme", "--weight", "3"],
        "tenants unset": ["acme"],
        "erase tenant": ["acme", "--yes"],
        "erase job": [subject, "--yes"],
        "erase reviewer": ["A. Guest", "--yes"],
        "jobs resend": [subject, "1"],
        "dlq redrive": ["--all", "--yes"],
        "reviews export": [subject, "--out", "reviews.csv"],
        "republish": ["--from-here", "--yes"],
    }.get(command, [subject])
    done = run(*command.split(), *words)
    assert done.code == ExitCode.OK, done.err
    *others, entry = entries(run)
    assert others == before
    by = user_of_this_machine()
    assert (entry["action"], entry["actor"], entry["address"]) == (DEEDS[command], by.actor, by.address)
    if command == "jobs submit":
        subject = json.loads(done.out)["job_id"]
    if command == "keys create":
        subject = done.out.split("_")[1]
        assert done.out.strip() not in json.dumps(entry)
    named = {"dlq redrive": "", "republish": "reviews-raw", "erase reviewer": "1"}
    named |= dict.fromkeys(("tenants set", "tenants unset", "erase tenant"), "acme")
    assert entry["subject"] == named.get(command, subject)
    assert "A. Guest" not in json.dumps(entry)
    assert TOKEN not in json.dumps(entry)


def test_what_is_sealed_anew_or_given_up_is_written_down_with_its_key(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keys(*names: str) -> None:
        told = [f"{name}:{base64.b64encode(name[0].encode() * KEY_BYTES).decode()}" for name in names]
        monkeypatch.setenv("TOKEN_SEALING_KEYS", ",".join(told))
        get_settings.cache_clear()

    monkeypatch.setenv("REVIEW_FETCHER_TOKEN", TOKEN)
    run("migrate")
    keys("old")
    assert run("jobs", "submit").code == ExitCode.OK
    keys("new", "old")
    assert run("keys", "reseal").code == ExitCode.OK
    keys("third")
    assert run("keys", "forget", "new", "--yes").code == ExitCode.OK
    told = [(entry["action"], entry["subject"], entry["detail"]) for entry in entries(run)[1:]]
    assert told == [
        ("sealing.reseal", "old", {"to": "new", "kind": "credentials", "rows": 1}),
        ("sealing.forget", "new", {"kind": "credentials", "rows": 1}),
    ]
    assert {entry["actor"] for entry in entries(run)} == {user_of_this_machine().actor}


def _old_tables(transaction: Transaction) -> None:
    config = Config()
    config.set_main_option("script_location", str(next(iter(app.store.migrations.__path__))))
    config.attributes["connection"] = transaction.connection
    alembic.upgrade(config, "0003")


def test_tables_that_were_there_and_are_migrated_are_written_down_and_new_ones_are_not(run: Run) -> None:
    async def make() -> None:
        database = SqliteDatabase(STORE, exclusive=True)
        await database.start()
        try:
            await database.write(_old_tables)
        finally:
            await database.close()

    asyncio.run(make())
    assert run("migrate").code == run("migrate").code == ExitCode.OK
    (entry,) = entries(run)
    assert (entry["action"], entry["subject"], entry["detail"]) == ("store.migrate", "0005", {"from": "0003"})
    assert (entry["tenant"], entry["actor"]) == ("", user_of_this_machine().actor)
    STORE.unlink()
    run("migrate")
    assert entries(run) == []


def test_the_user_is_whom_the_process_belongs_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what the environment says, which anybody can set."""
    before = user_of_this_machine()
    for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody-else")
    assert user_of_this_machine() == before
    monkeypatch.setattr("os.getuid", lambda: 4_000_000)
    assert user_of_this_machine().actor == "cli:4000000"


def test_the_newest_entries_are_shown_in_their_order_and_others_are_counted(run: Run) -> None:
    ids = [stored(new_job) for _ in range(3)]
    shown = run("audit", "--limit", "2")
    lines = shown.out.splitlines()
    assert [line.split()[4:6] for line in lines] == [["job.submit", job_id] for job_id in ids[1:]]
    assert "1 older entries are left out" in shown.err
    assert entries(run, "--subject", ids[0])[0]["subject"] == ids[0]
    assert entries(run, "--action", "job.cancel") == entries(run, "--actor", "nobody") == []
    assert "There are no such entries." in run("audit", "--tenant", "acme").err


@pytest.mark.parametrize(("since", "number"), [("1h", 1), ("7d", 1), ("2020-01-01", 1), ("2999-01-01", 0)])
def test_entries_are_chosen_by_their_age(run: Run, since: str, number: int) -> None:
    stored(new_job)
    assert len(entries(run, "--since", since)) == number


@pytest.mark.parametrize(
    "words", [["--since", "yesterday"], ["--since", "7w"], ["--action", "job.unknown"], ["--subject", ""]]
)
def test_what_makes_no_sense_is_refused(run: Run, words: list[str]) -> None:
    assert run("audit", *words).code == ExitCode.USAGE


def test_a_server_knows_whose_entries_they_are(run: Run) -> None:
    ended = run("audit", "--server", "http://127.0.0.1:9", "--tenant", "acme")
    assert (ended.code, "the API key says whose entries" in ended.err) == (ExitCode.USAGE, True)


def test_hostile_text_cannot_steer_the_terminal(run: Run) -> None:
    stored(_plant)
    for options in ([], ["--json"]):
        shown = run("audit", "--since", "2020-01-01", *options).out
        assert len(shown.splitlines()) == 1
        assert {"\x1b", "\x9b", "\r", "\u202e"}.isdisjoint(shown)
        assert "forged" in shown


async def _plant(database: Database) -> None:
    def insert(transaction: Transaction) -> None:
        transaction.connection.exec_driver_sql(
            "INSERT INTO audit_log (at, tenant, actor, action, subject, address, request_id, detail)"
            " VALUES (1790000000, ?, ?, ?, ?, ?, ?, ?)",
            (*[HOSTILE] * 6, json.dumps({HOSTILE: HOSTILE})),
        )

    await database.write(insert)


class Growing:
    """A service whose log grows while it is followed, and that is away once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked = 0

    async def audit(self, wanted: AuditFilter, limit: int, after: str | None) -> AuditPage:
        self._asked += 1
        if self._asked == 3:
            await new_job(self._database)
        if self._asked == 4:
            raise AwayError("away")
        if self._asked == 6:
            raise KeyboardInterrupt
        return await self._database.read(read_audit, None, wanted, limit, after)


async def test_it_is_followed_through_a_service_that_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(auditing, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr("app.cli.interrupts.FIRST_PAUSE_SECONDS", 0.0)
    async with sqlite_database(tmp_path) as database:
        first = await new_job(database)
        wanted = auditing.Wanted(ALL_ENTRIES, 10, follow=True, as_json=True)
        with pytest.raises(KeyboardInterrupt):
            await auditing.follow(Growing(database), wanted)
    written = capsys.readouterr()
    subjects = [json.loads(line)["subject"] for line in written.out.splitlines()]
    assert (subjects[0], len(subjects)) == (first, 2)
    assert "away Trying again" in written.err


def test_nobody_is_asked_for_a_store_that_is_not_there(run: Run) -> None:
    ended = run("audit")
    assert (ended.code, "there is no store at" in ended.err) == (ExitCode.FAILED, True)
