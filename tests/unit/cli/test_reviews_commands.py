"""`reviews` over a local store: whole files, and a feed that goes on where it was left."""

import csv
import json
import os
import pty
import sys
from pathlib import Path

import pytest
from pyarrow import parquet

from app.cli import tailing
from app.cli.exits import ExitCode
from app.store.database import Database
from tests.support.jobs import finished
from tests.unit.cli.conftest import Run
from tests.unit.cli.test_jobs_commands import STORE, change, stored

REVIEWS = {"locations/1": ["a", "b"], "locations/2": ["c"]}


async def _fetched(database: Database) -> str:
    return await finished(database, REVIEWS)


def ids(lines: str) -> list[str]:
    return [json.loads(line)["review_id"] for line in lines.splitlines()]


@pytest.mark.parametrize(("name", "form"), [("x.ndjson", ()), ("x.txt", ("--format", "ndjson")), ("x.csv", ())])
def test_a_file_holds_every_review(run: Run, name: str, form: tuple[str, ...]) -> None:
    job_id = stored(_fetched)
    ended = run("reviews", "export", job_id, "--out", name, *form)
    assert (ended.code, ended.out) == (ExitCode.OK, "")
    assert name in ended.err
    text = Path(name).read_text()
    found = [row["review_id"] for row in csv.DictReader(text.splitlines())] if name.endswith("csv") else ids(text)
    assert found == ["a", "b", "c"]
    assert sorted(path.name for path in Path().iterdir()) == ["data", name]


def test_a_json_file_is_one_array(run: Run) -> None:
    job_id = stored(_fetched)
    run("reviews", "export", job_id, "--out", "x.json")
    assert [item["review_id"] for item in json.loads(Path("x.json").read_text())] == ["a", "b", "c"]
    run("reviews", "export", job_id, "--out", "none.json", "--text", "nobody wrote this")
    assert json.loads(Path("none.json").read_text()) == []


def test_a_parquet_file_holds_every_review(run: Run) -> None:
    job_id = stored(_fetched)
    assert run("reviews", "export", job_id, "--out", "x.parquet").code == ExitCode.OK
    assert parquet.read_table("x.parquet").column("review_id").to_pylist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("which", "found"),
    [
        (("--location", "locations/2"), ["c"]),
        (
            ("--rating", "5", "--rating", "none", "--no-reply", "--since", "2023-12-31", "--text", "gOOd"),
            ["a", "b", "c"],
        ),
        (("--rating", "1"), []),
        (("--has-reply",), []),
        (("--since", "2024-02-01T00:00:00Z"), []),
    ],
    ids=str,
)
def test_reviews_are_chosen(run: Run, which: tuple[str, ...], found: list[str]) -> None:
    job_id = stored(_fetched)
    assert ids(run("reviews", "export", job_id, "--out", "-", *which).out) == found


@pytest.mark.parametrize(
    ("option", "value"), [("--rating", "6"), ("--since", "yesterday"), ("--location", "Berlin"), ("--text", "")]
)
def test_a_filter_that_makes_no_sense_is_told_by_its_option(run: Run, option: str, value: str) -> None:
    ended = run("reviews", "export", "job-1", "--out", "-", option, value)
    assert (ended.code, ended.out) == (ExitCode.USAGE, "")
    assert ended.err.startswith(f"error: {option}: ")


def test_a_file_that_is_there_is_only_overwritten_when_told(run: Run) -> None:
    job_id = stored(_fetched)
    Path("x.ndjson").write_text("precious\n")
    refused = run("reviews", "export", job_id, "--out", "x.ndjson")
    assert refused.code == ExitCode.USAGE
    assert "--force" in refused.err
    assert Path("x.ndjson").read_text() == "precious\n"
    assert run("reviews", "export", job_id, "--out", "x.ndjson", "--force").code == ExitCode.OK
    assert ids(Path("x.ndjson").read_text()) == ["a", "b", "c"]


def test_a_file_whose_name_says_no_format_is_refused(run: Run) -> None:
    ended = run("reviews", "export", "job-1", "--out", "reviews")
    assert ended.code == ExitCode.USAGE
    assert "must end in" in ended.err


def test_reviews_can_be_piped(run: Run) -> None:
    job_id = stored(_fetched)
    assert ids(run("reviews", "export", job_id, "--out", "-").out) == ["a", "b", "c"]
    table = run("reviews", "export", job_id, "--out", "-", "--format", "csv").out
    assert [row["review_id"] for row in csv.DictReader(table.splitlines())] == ["a", "b", "c"]


def test_the_feed_goes_on_behind_its_cursor(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailing, "PAGE", 2)
    stored(_fetched)
    first = run("reviews", "tail")
    assert ids(first.out) == ["a", "b", "c"]
    cursor = first.err.removeprefix("Go on with: --after ").strip()
    assert run("reviews", "tail", "--after", cursor).out == ""
    stored(_fetched)
    assert ids(run("reviews", "tail", "--after", cursor).out) == ["a", "b", "c"]


def test_the_cursor_file_is_where_the_next_run_begins(run: Run) -> None:
    stored(_fetched)
    first = run("reviews", "tail", "--cursor-file", "cursor")
    assert (ids(first.out), first.err) == (["a", "b", "c"], "")
    again = run("reviews", "tail", "--cursor-file", "cursor")
    assert (again.code, again.out) == (ExitCode.OK, "")
    assert sorted(path.name for path in Path().iterdir()) == ["cursor", "data"]


def test_the_cursor_is_never_ahead_of_what_was_written(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads the lines dies after the first page: its reviews come again, none is left out."""
    monkeypatch.setattr(tailing, "PAGE", 2)
    stored(_fetched)

    class FullPipe:
        written = 0

        def __call__(self, _chunk: bytes) -> None:
            self.written += 1
            if self.written > 2:
                raise BrokenPipeError(32, "Broken pipe")

    with monkeypatch.context() as patched:
        patched.setattr(tailing, "stdout_of_bytes", lambda *, json_text: FullPipe() if json_text else None)
        assert run("reviews", "tail", "--cursor-file", "cursor").code == ExitCode.FAILED
    assert ids(run("reviews", "tail", "--cursor-file", "cursor").out) == ["c"]


def test_two_beginnings_are_refused(run: Run) -> None:
    Path("cursor").write_text("abc\n")
    ended = run("reviews", "tail", "--after", "x", "--cursor-file", "cursor")
    assert ended.code == ExitCode.USAGE
    assert "both say where to begin" in ended.err


def test_a_cursor_that_is_none_is_told(run: Run) -> None:
    run("migrate")
    Path("cursor").write_text("nonsense\n")
    ended = run("reviews", "tail", "--cursor-file", "cursor")
    assert ended.code == ExitCode.FAILED
    assert ended.err.startswith("error: This cursor is not one of this listing.")
    assert Path("cursor").read_text() == "nonsense\n"


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_a_review_on_a_terminal_cannot_steer_it(run: Run, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """In a file and a pipe it stays as it was written."""
    job_id = stored(_fetched)
    hostile = "\x9b31m\x7f\u202eevil"
    change(f"UPDATE reviews SET comment = '{hostile}', raw = CAST('{{\"c\":\"{hostile}\"}}' AS BLOB)")  # noqa: S608
    piped = run("reviews", "export", job_id, "--out", "-", "--format", form).out
    assert hostile in piped
    shown = _on_a_terminal(run, monkeypatch, "reviews", "export", job_id, "--out", "-", "--format", form)
    assert "evil" in shown
    assert {"\x9b", "\x7f", "\u202e", "\x1b"}.isdisjoint(shown)
    if form == "ndjson":
        assert [json.loads(line) for line in shown.splitlines()] == [json.loads(line) for line in piped.splitlines()]


def _on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, *command: str) -> str:
    """What a terminal gets on stdout."""
    ours, theirs = pty.openpty()
    with monkeypatch.context() as patched, os.fdopen(theirs, "w") as terminal, os.fdopen(ours, "rb") as screen:
        patched.setattr(sys, "stdout", terminal)
        assert run(*command).code == ExitCode.OK
        terminal.flush()
        return os.read(screen.fileno(), 100_000).decode().replace("\r\n", "\n")


def test_the_store_is_left_as_it_was_but_for_who_took_a_file(run: Run) -> None:
    job_id = stored(_fetched)
    before = STORE.read_bytes()
    run("reviews", "tail")
    assert STORE.read_bytes() == before
    run("reviews", "export", job_id, "--out", "x.csv")
    told = [json.loads(line) for line in run("audit", "--action", "reviews.export", "--json").out.splitlines()]
    assert [(entry["subject"], entry["detail"]["format"]) for entry in told] == [(job_id, "csv")]
