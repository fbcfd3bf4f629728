"""`review-fetcher demo`: a real server, a real POST, a file."""

import json
from pathlib import Path

import pytest

from app.cli.demonstrating import Demo, run_demo
from app.cli.exits import ExitCode
from app.config import SimulatorConfig


def demo(tmp_path: Path, *, faults: str = "good", per_second: int = 0, form: str = "ndjson") -> Demo:
    world = SimulatorConfig(accounts=2, locations=3, reviews=60, faults=faults)
    return Demo(world, per_second, tmp_path / "demo" / f"reviews.{form}", form)


async def test_it_ends_with_a_table_and_a_file_of_all_reviews(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await run_demo(demo(tmp_path)) is ExitCode.OK
    lines = (tmp_path / "demo" / "reviews.ndjson").read_text(encoding="utf-8").splitlines()
    assert len({(line["location"], line["review_id"]) for line in map(json.loads, lines)}) == len(lines) == 360
    shown = capsys.readouterr()
    assert "→ 202, job " in shown.err
    assert "completed: accounts 2/2 · locations 6/6 · reviews 360/360" in shown.err
    assert "360 of 360" in shown.out
    assert shown.out.rstrip().endswith("reviews.ndjson")


async def test_it_survives_a_bad_day_at_google(tmp_path: Path) -> None:
    assert await run_demo(demo(tmp_path, faults="flaky", form="csv")) is ExitCode.OK
    assert (tmp_path / "demo" / "reviews.csv").stat().st_size > 0


async def test_the_users_own_settings_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("SIMULATOR_ACCOUNTS=9\n")
    for name, value in {
        "ENVIRONMENT": "production",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "API_KEYS": "k" * 32,
        "GOOGLE_API_BASE_URL": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    assert await run_demo(demo(tmp_path)) is ExitCode.OK


async def test_nothing_but_the_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert await run_demo(demo(tmp_path)) is ExitCode.OK
    assert files_in(tmp_path) == ["demo/reviews.ndjson"]


def files_in(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
