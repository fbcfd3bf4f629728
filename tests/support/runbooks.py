"""The commands of docs/runbooks.md, section by section, run as an operator would."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.support.markdown import Command
from tests.support.service import ROOT
from tests.support.transcripts import shown_commands

_MARK = "\x1e"

LONGEST_SECONDS = 300.0
"""Only ends a test that hangs."""


def sections_of(page: Path) -> dict[str, list[Command]]:
    """Heading → the commands below it that are to be run; those without any are left out."""
    lines = page.read_text().splitlines()
    heading_at = {number: line.lstrip("# ") for number, line in enumerate(lines, 1) if line.startswith("#")}
    found: dict[str, list[Command]] = {}
    for shown in shown_commands(page):
        heading = heading_at[max(number for number in heading_at if number < shown.command.line)]
        found.setdefault(heading, []).append(shown.command)
    return found


PAGE = ROOT / "docs/runbooks.md"


def follow(
    heading: str, directory: Path, settings: Mapping[str, str], instead: Mapping[str, str] | None = None
) -> list[str]:
    """Run the section's commands in one shell with these variables; what each printed.

    `instead`: words of the page that are different here (an address, a name). AssertionError when a command fails.
    """
    commands = [_with(command.text, instead or {}) for command in sections_of(PAGE)[heading]]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(ROOT)}
    script = "\n".join(["set -eu", *(f"printf '\\036'\n{command}" for command in commands)])
    done = subprocess.run(
        ["sh", "-c", script],
        check=False,
        cwd=directory,
        env=environment | dict(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
    )
    outputs = done.stdout.split(_MARK)[1:]
    assert done.returncode == 0, f"{commands[len(outputs) - 1]}\n{done.stdout}{done.stderr}"
    return outputs


def _with(text: str, instead: Mapping[str, str]) -> str:
    for documented, here in instead.items():
        text = text.replace(documented, here)
    return text
