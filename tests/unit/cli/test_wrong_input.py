"""What stands on the command line and makes no sense is told in a line, with code 2, before anything is done."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperArgument, TyperCommand, TyperOption
from typer.main import get_command

from app.cli.entry import application
from app.cli.exits import ExitCode
from tests.unit.cli.conftest import Outcome, Run
from tests.unit.cli.test_jobs_commands import STORE, TOKEN

NOT_UTF8 = "\udcff"
"""What Python makes of the byte 0xff on a command line."""


def one_line(ended: Outcome) -> str:
    """What was told, by a command that ended with code 2 and did nothing."""
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    (line,) = ended.err.splitlines()
    return line


UNUSABLE_TENANTS = ("", "/erased", "Foo Bar", NOT_UTF8, "a" * 64)


def parameters() -> Iterator[tuple[str, TyperArgument | TyperOption]]:
    """Every command's name with every parameter of it."""

    def below(command: object, path: str) -> Iterator[tuple[str, TyperArgument | TyperOption]]:
        for name, one in getattr(command, "commands", {}).items():
            yield from below(one, f"{path} {name}".strip())
        if isinstance(command, TyperCommand):
            yield from ((path, one) for one in command.params if isinstance(one, (TyperArgument, TyperOption)))

    yield from below(get_command(application), "")


NAMING_A_TENANT = [
    [*path.split(), *(["--tenant"] if isinstance(parameter, TyperOption) else [])]
    for path, parameter in parameters()
    if (path, parameter.name) == ("erase tenant", "name") or parameter.name == "tenant"
]


@pytest.mark.parametrize("command", NAMING_A_TENANT, ids=" ".join)
@pytest.mark.parametrize("tenant", UNUSABLE_TENANTS, ids=ascii)
def test_a_tenant_has_a_name_that_can_be_one(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: list[str], tenant: str
) -> None:
    monkeypatch.setenv("REVIEW_FETCHER_TOKEN", TOKEN)
    told = one_line(run(*command, tenant))
    assert told == "error: a tenant is 1 to 63 of a-z, 0-9, - and _, a letter first"
    assert not STORE.exists()


def test_every_kind_of_command_that_names_a_tenant_was_tried() -> None:
    tried = {" ".join(command) for command in NAMING_A_TENANT}
    assert {"jobs submit --tenant", "audit --tenant", "keys list --tenant", "erase tenant", "tenants set"} <= tried


TOO_LARGE = (str(2**63), "99999999999999999999")
"""Ids are 64 bits in both databases."""


@pytest.mark.parametrize("command", [("dlq", "show"), ("erase", "show"), ("jobs", "resend", "job-1")], ids=" ".join)
@pytest.mark.parametrize("number", [*TOO_LARGE, "0"])
def test_an_id_is_a_number_that_the_store_can_hold(run: Run, command: tuple[str, ...], number: str) -> None:
    run("migrate")
    ended = run(*command, number)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert "Invalid value for" in ended.err
    assert run(*command, str(2**63 - 1)).code == ExitCode.FAILED


NAMING_BY_AN_ID = [
    ("jobs", "show"),
    ("jobs", "token"),
    ("jobs", "cancel"),
    ("erase", "job", "--yes"),
    ("reviews", "export", "--out", "x.csv"),
    ("keys", "rotate"),
    ("keys", "revoke"),
    ("keys", "forget", "--yes"),
]


@pytest.mark.parametrize("command", NAMING_BY_AN_ID, ids=" ".join)
@pytest.mark.parametrize("server", [None, "http://127.0.0.1:1"])
def test_an_id_is_text(run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], server: str | None) -> None:
    monkeypatch.setenv("REVIEW_FETCHER_TOKEN", TOKEN)
    if server is not None:
        monkeypatch.setenv("REVIEW_FETCHER_URL", server)
    run("migrate")
    assert one_line(run(*command, f"job{NOT_UTF8}")) == "error: the id is not UTF-8"


@pytest.mark.parametrize("key", ["", "é", "two words", NOT_UTF8, "k" * 256], ids=ascii)
@pytest.mark.parametrize("server", [None, "http://127.0.0.1:1"])
def test_an_idempotency_key_is_one_that_a_header_can_hold(
    run: Run, monkeypatch: pytest.MonkeyPatch, key: str, server: str | None
) -> None:
    monkeypatch.setenv("REVIEW_FETCHER_TOKEN", TOKEN)
    if server is not None:
        monkeypatch.setenv("REVIEW_FETCHER_URL", server)
    run("migrate")
    told = one_line(run("jobs", "submit", "--idempotency-key", key))
    assert told == "error: --idempotency-key takes 1 to 255 visible ASCII characters"


@pytest.mark.parametrize("age", ["800000d", "999999d"])
def test_an_age_begins_after_the_year_1(run: Run, age: str) -> None:
    run("migrate")
    assert one_line(run("audit", "--since", age)) == f"error: --since: {age} ago is before the year 1"


def test_an_age_may_be_of_centuries(run: Run) -> None:
    run("migrate")
    assert run("audit", "--since", "500000d").code == ExitCode.OK


def test_a_token_on_stdin_is_text(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ya29.\xff-secret\n"), encoding="utf-8"))
    assert one_line(run("jobs", "submit", "--token", "-")) == "error: --token: what came from stdin is not UTF-8"


@pytest.mark.parametrize("command", ["serve", "simulate"])
@pytest.mark.parametrize("host", [NOT_UTF8, "a..b", "x" * 100], ids=ascii)
def test_a_host_has_a_name_that_can_be_one(run: Run, command: str, host: str) -> None:
    told = one_line(run(command, "--host", host))
    assert told.startswith("error: --host: ")
    assert told.endswith(" can be no address")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"preset": "flaky", "seed": []}', "{"], ids=lambda text: text[:9])
def test_faults_are_json_of_their_form(run: Run, text: str) -> None:
    Path("faults.json").write_text(text)
    assert one_line(run("simulate", "--faults", "faults.json")).startswith("error: --faults: faults.json: ")


LONG = "x" * 300
"""No file system takes such a name: what looks for it is told more than that it is not there."""


@pytest.mark.parametrize(
    "command",
    [
        ("fetch", "--out", f"{LONG}.csv"),
        ("demo", "--out", f"{LONG}.csv"),
        ("reviews", "export", "job-1", "--out", f"{LONG}.csv"),
        ("reviews", "tail", "--after", "cursor", "--cursor-file", LONG),
        ("migrate-data", "--from", f"sqlite:///{LONG}", "--to", "postgresql://user@127.0.0.1:1/name"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_place_that_cannot_be_looked_at_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("REVIEW_FETCHER_TOKEN", TOKEN)
    ended = run(*command)
    assert (ended.code, ended.out) == (ExitCode.FAILED, "")
    assert ended.err.startswith(f"error: cannot look at {LONG}")
    assert ended.err.endswith(": File name too long\n")


@pytest.mark.parametrize("command", [("jobs", "list"), ("webhooks", "secrets")], ids=" ".join)
def test_a_store_that_cannot_be_looked_at_is_told(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{LONG}/store.db")
    ended = run(*command)
    assert (ended.code, ended.out) == (ExitCode.FAILED, "")
    assert ended.err.startswith(f"error: cannot look at {LONG}")


def test_the_state_of_a_fetch_that_cannot_be_looked_at_is_told(run: Run) -> None:
    """Without a token it is looked at before anything else; its name is longer than the file's own."""
    ended = run("fetch", "--out", f"{'x' * 248}.csv")
    assert (ended.code, ended.out) == (ExitCode.FAILED, "")
    assert ended.err.startswith("error: cannot look at xxx")


def test_a_fetch_does_not_go_on_from_a_source_that_it_cannot_read(run: Run) -> None:
    state = Path("x.csv.state")
    state.mkdir()
    (state / "reviews.db").touch()
    (state / "source").write_bytes(b"\xff")
    told = one_line(run("fetch", "--out", "x.csv"))
    assert told.startswith("error: x.csv.state holds an unfinished job from \\xff: ")
