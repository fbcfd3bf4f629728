"""What every command has in common: help, exit codes, errors as one line."""

import socket

import pytest

from app.cli import entry
from app.cli.exits import MEANINGS, CommandError, ExitCode, told
from app.store.database import StoreUnavailableError
from tests.unit.cli.conftest import Run

COMMANDS = (
    *("serve", "fetch", "demo", "simulate", "jobs", "reviews", "dlq", "keys"),
    *("overview", "quota", "settings", "migrate", "doctor", "version"),
)


def test_the_help_lists_every_command_and_exit_code(run: Run) -> None:
    ended = run("--help")
    assert ended.code == 0
    assert [command for command in COMMANDS if f" {command} " not in ended.out] == []
    assert [code for code in ExitCode if f"{code.value}: " not in ended.out] == []
    assert set(MEANINGS) == set(ExitCode)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run: Run, command: str) -> None:
    ended = run(command, "--help")
    assert ended.code == 0
    assert "Usage: " in ended.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("fetch",),
        ("fetch", "--out", "x.txt", "--token", "ya29.a-token-for-tests"),
        ("fetch", "--out", "x.csv"),
        ("fetch", "--out", "x.csv", "--token", "short"),
        ("fetch", "--out", "x.csv", "--token", "ya29.a-token-for-tests", "--mock", "--google-url", "http://x"),
        ("serve", "--port", "70000"),
        ("simulate", "--faults", "no-such-file"),
        ("jobs", "list", "--status", "nonsense"),
        ("keys", "create", "x", "--scope", "everything"),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_ends_with_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).code == ExitCode.USAGE


def test_wrong_settings_are_told_one_a_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "nowhere")
    monkeypatch.setenv("RETRY_MAX_RETRIES", "-1")
    ended = run("serve")
    assert ended.code == ExitCode.FAILED
    lines = ended.err.splitlines()
    assert [line.split()[1] for line in lines] == ["PORT:", "RETRY_MAX_RETRIES:"]


def test_a_taken_port_is_told_before_anything_is_opened(run: Run) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = run("serve", "--port", str(port))
    assert ended.code == ExitCode.FAILED
    assert f"cannot listen on 127.0.0.1:{port}" in ended.err
    assert "another --port" in ended.err


def test_expected_errors_are_told_and_faults_of_ours_are_not_hidden() -> None:
    assert told(CommandError("do this")) == "do this"
    assert told(StoreUnavailableError("SQLite: disk full")) == "SQLite: disk full"
    assert told(ValueError("?")) is None


def test_a_fault_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(entry, "application", broken)
    with pytest.raises(ZeroDivisionError):
        entry.main(["version"])


def test_an_error_cannot_steer_the_terminal(run: Run) -> None:
    ended = run("jobs", "list", "--server", "http://127.0.0.1:1/\x1b[2J")
    assert ended.code == ExitCode.FAILED
    assert "\x1b[2J" not in ended.err


def test_a_service_that_is_not_there_is_told(run: Run) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        ended = run("jobs", "list", "--server", f"http://127.0.0.1:{nobody.getsockname()[1]}")
    assert ended.code == ExitCode.FAILED
    assert "does the service run there?" in ended.err


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("jobs", "list", "--server", "nonsense"), "--server"),
        (("fetch", "--out", "x.csv", "--token", "ya29.some-token", "--google-url", "nonsense"), "--google-url"),
    ],
)
def test_an_address_that_is_none_is_told_by_its_option(run: Run, command: tuple[str, ...], option: str) -> None:
    ended = run(*command)
    assert ended.code == ExitCode.USAGE
    assert f"error: {option}: " in ended.err
    assert "must look like http://" in ended.err


def test_faults_that_are_none_are_told_before_the_demonstration(run: Run) -> None:
    ended = run("demo", "--faults", "no-such-file.json")
    assert ended.code == ExitCode.USAGE
    assert ended.err == "error: --faults: no-such-file.json is neither good, flaky nor a file that can be read\n"
