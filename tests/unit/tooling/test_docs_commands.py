"""What the pages tell a reader to type exists."""

import re
import shlex
from pathlib import Path

import pytest

from tests.support.markdown import Command, commands

PROJECT = Path(__file__).resolve().parents[3]
PAGES = sorted([PROJECT / "README.md", *(PROJECT / "docs").rglob("*.md")])
NAMED = [pytest.param(path.relative_to(PROJECT).as_posix(), id=path.stem[:4]) for path in PAGES]
"""By the beginning of their names: the whole name may hold that of a service which these tests do not touch."""
NOT_RUN = "not-run:"
"""The marker of a block that the tests leave out. A reason follows."""


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))


def words(command: Command) -> list[str]:
    return shlex.split(command.text, comments=True)


@pytest.mark.parametrize("page", NAMED)
def test_every_make_command_of_a_page_is_a_target(page: str) -> None:
    typed = [words(command) for command in commands(PROJECT / page)]
    targets = [word for first, *rest in typed if first == "make" for word in rest if "=" not in word]

    assert set(targets) <= make_targets()


@pytest.mark.parametrize("page", NAMED)
def test_every_script_that_a_page_runs_is_there(page: str) -> None:
    text = " ".join(command.text for command in commands(PROJECT / page))
    scripts = re.findall(r"\b(?:scripts|deploy|bench)/[\w./-]*\w", text)

    assert [script for script in scripts if not (PROJECT / script).exists()] == []


@pytest.mark.parametrize("page", NAMED)
def test_a_block_that_is_not_run_says_why(page: str) -> None:
    markers = {command.marker for command in commands(PROJECT / page) if command.marker}
    silent = [marker for marker in markers if marker.startswith("not-run") and not reason(marker)]

    assert silent == []


def reason(marker: str) -> str:
    return marker.removeprefix(NOT_RUN).strip() if marker.startswith(NOT_RUN) else ""


def test_make_help_lists_every_command_that_a_person_types() -> None:
    documented = set(re.findall(r"^([a-z-]+):.* ## ", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    internal = {"help", "runtime", "check-static", "unit"}

    assert make_targets() - internal == documented - {"help"}
