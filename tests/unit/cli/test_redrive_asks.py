"""A redrive on a terminal says how many, and asks."""

import json
import os
import pty
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.cli.exits import ExitCode
from tests.support.jobs import given_up
from tests.unit.cli.conftest import Run
from tests.unit.cli.test_jobs_commands import stored


@contextmanager
def typing(monkeypatch: pytest.MonkeyPatch, keys: str) -> Iterator[None]:
    """A terminal at which somebody has typed this."""
    ours, theirs = pty.openpty()
    with monkeypatch.context() as patched, os.fdopen(theirs, "r") as terminal, os.fdopen(ours, "wb", 0) as keyboard:
        keyboard.write(keys.encode())
        patched.setattr(sys, "stdin", terminal)
        yield


@pytest.mark.parametrize(("keys", "status", "code"), [("y\n", "processing", ExitCode.OK), ("n\n", "dlq", 1)])
def test_the_answer_decides(run: Run, monkeypatch: pytest.MonkeyPatch, keys: str, status: str, code: int) -> None:
    job = stored(given_up)
    with typing(monkeypatch, keys):
        ended = run("dlq", "redrive", "--all")
    assert ended.code == code
    assert "Redrive 1 dead letters?" in ended.err
    assert json.loads(run("jobs", "show", job.id, "--json").out)["status"] == status


def test_nobody_is_asked_about_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("migrate")
    with typing(monkeypatch, "n\n"):
        ended = run("dlq", "redrive", "--all")
    assert (ended.code, ended.out) == (ExitCode.OK, "")
    assert ended.err == "There are no such dead letters.\n"
