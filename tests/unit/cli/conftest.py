"""A command, run in this process as `main` runs it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from app.cli import main
from app.config import Settings, get_settings, variables


class Outcome(NamedTuple):
    """How a command ended, and what it wrote to stdout and stderr."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No settings but the test's own, in an empty folder."""
    names = [variable.name for variable in variables(Settings)]
    parts = ("TOKEN", "URL", "API_KEY", "REFRESH_TOKEN", "CLIENT_ID", "CLIENT_SECRET")
    ours = [f"REVIEW_FETCHER_{part}" for part in parts]
    for name in (*names, *(f"{name}_FILE" for name in names), *ours):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("keys", "list")`."""

    def runner(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        written = capsys.readouterr()
        code = ended.value.code
        return Outcome(code if isinstance(code, int) else 0, written.out, written.err)

    return runner
