"""What `migrate-data` says about a command line that makes no sense."""

import pytest

from app.cli.migrate_data import Progress
from tests.unit.cli.conftest import Run

TARGET = "postgresql://user:hidden@127.0.0.1:1/reviews"


def test_it_needs_a_postgresql_to_copy_into(run: Run) -> None:
    ended = run("migrate-data")
    assert ended.code == 2
    assert "set DATABASE_URL or give --to" in ended.err


def test_it_copies_no_other_store_than_a_sqlite_file(run: Run) -> None:
    ended = run("migrate-data", "--from", TARGET, "--to", TARGET)
    assert ended.code == 2
    assert "--from: must be a SQLite file" in ended.err
    assert "hidden" not in ended.err


def test_a_url_that_names_no_database_is_explained_without_showing_it(run: Run) -> None:
    ended = run("migrate-data", "--to", "postgresql://user:hidden@127.0.0.1")
    assert ended.code == 2
    assert "--to: names no database" in ended.err
    assert "hidden" not in ended.err


def test_a_file_that_is_not_there_is_not_made(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", TARGET)
    ended = run("migrate-data", "--from", "sqlite:///nowhere/store.db")
    assert ended.code == 1
    assert "there is no store at nowhere/store.db" in ended.err


def test_a_postgresql_that_is_away_is_told_in_a_line(run: Run) -> None:
    assert run("migrate").code == 0
    ended = run("migrate-data", "--to", TARGET)
    assert ended.code == 1
    assert ended.err.startswith("error: PostgreSQL: ")
    assert "hidden" not in ended.err


def test_progress_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 1.0, 2.5, 3.0])
    progress = Progress(lambda: next(times))
    progress("reviews", 1000, 5000)
    progress("reviews", 2000, 5000)
    progress("reviews", 3000, 5000)
    assert capsys.readouterr().err.splitlines() == ["reviews: 2,000 of 5,000"]
