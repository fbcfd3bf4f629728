"""The commands of a page run as a reader would: in one shell, in their order, beside the service they speak to."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.markdown import Block, Command, read_blocks, split, typed

PROJECT = Path(__file__).resolve().parents[2]
DOCUMENTED_ADDRESS = "127.0.0.1:8000"
SERVE = ".venv/bin/python -m uvicorn app.main:app"
"""How the pages start the service."""

NOT_RUN = "not-run:"
"""The marker of a block that no test runs. A reason follows."""

LONGEST_SECONDS = 100.0
"""Only ends a test that hangs."""

_MARK = "\x1e"
"""Stands on stdout before the output of each command."""


@dataclass(frozen=True)
class Shown:
    """A command, and the lines that the page shows as its output; `…` stands for anything within a line."""

    command: Command
    output: list[str]


@dataclass(frozen=True)
class Server:
    """A running service: `address` is host and port."""

    address: str


def shown_commands(path: Path) -> list[Shown]:
    """Every command of a page that is to be run, with what the page says about its output."""
    blocks = read_blocks(path.read_text().splitlines(), path.name)
    return [shown for block in blocks if not is_left_out(block) for shown in _shown(block)]


def is_left_out(block: Block) -> bool:
    """Whether the page says that nobody runs the block."""
    return (block.marker or "").startswith(NOT_RUN)


def _shown(block: Block) -> Iterator[Shown]:
    if block.language not in ("console", "sh"):
        return
    commands = list(split(block))
    ends = [command.line for command in commands[1:]] + [block.first_line + len(block.lines)]
    for command, end in zip(commands, ends, strict=True):
        first = command.line + command.text.count("\n") + 1
        lines = block.lines[first - block.first_line : end - block.first_line]
        shown = lines if block.language == "console" else []
        yield Shown(command, [line for line in shown if not typed(line, "console")])


def typed_beside(page: Path) -> list[Shown]:
    """Every command of a page that is to be run beside the service: without the one that starts it."""
    return [shown for shown in shown_commands(page) if shown.command.text != SERVE]


def run_shown(shown: Sequence[Shown], directory: Path, server: Server | None = None) -> list[str]:
    """What each command printed. AssertionError for one that fails, or prints else than the page shows."""
    printed = run_commands([one.command for one in shown], directory, server)
    compared = [(one, text) for one, text in zip(shown, printed, strict=True) if one.command.language == "console"]
    assert [(one.command.line, text) for one, text in compared if not looks_like(one.output, text)] == []
    return printed


def run_commands(commands: Sequence[Command], directory: Path, server: Server | None = None) -> list[str]:
    """What each command printed on stdout. The first one that fails ends them, with an AssertionError that names it."""
    done = _run("\n".join(f"printf '\\036'\n{command.text}" for command in commands), directory, server)
    outputs = done.stdout.split(_MARK)[1:]
    last = commands[len(outputs) - 1]
    assert done.returncode == 0, f"line {last.line}: {last.text}\n{outputs[-1]}{done.stderr}"
    return outputs


def run_script(script: str, directory: Path, server: Server | None = None) -> str:
    """What a script printed on stdout. AssertionError if a command of it fails."""
    done = _run(script, directory, server)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _run(script: str, directory: Path, server: Server | None) -> subprocess.CompletedProcess[str]:
    if "curl" in script and shutil.which("curl") is None and not os.environ.get("CI"):
        pytest.skip("there is no curl here, and the pages use it: apt-get install curl")
    address = DOCUMENTED_ADDRESS if server is None else server.address
    return subprocess.run(
        ["sh", "-c", "set -eu\n" + script.replace(DOCUMENTED_ADDRESS, address)],
        check=False,
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
    )


def environment() -> dict[str, str]:
    """A reader's: none of the settings that this run may have, for the pages speak of a service without any."""
    return {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "PYTHONPATH": str(PROJECT)}


def make_checkout(directory: Path) -> Path:
    """A directory in which the pages' commands find `.venv`."""
    (directory / ".venv").symlink_to(sys.prefix)
    return directory


@contextmanager
def running_server(directory: Path, settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """The service as the pages start it, on a free port; ended in good order on leaving."""
    command = [*shlex.split(SERVE), "--port", "0"]
    env = environment() | dict(settings or {})
    with subprocess.Popen(
        command, cwd=directory, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        try:
            address = _address(process.stdout)
            drain = threading.Thread(target=process.stdout.read)
            drain.start()
            yield Server(address)
        finally:
            process.terminate()
            process.wait(LONGEST_SECONDS)
        drain.join(LONGEST_SECONDS)


def _address(lines: Iterable[str]) -> str:
    log = []
    for line in lines:
        if found := re.search(r"running on http://(127\.0\.0\.1:\d+)", line):
            return found[1]
        log.append(line)
    raise AssertionError("the service did not start:\n" + "".join(log))


def looks_like(shown: Sequence[str], printed: str) -> bool:
    """Whether the output is what the page shows; spaces at the ends of lines do not count."""
    pattern = "\n".join(".*".join(re.escape(part) for part in line.rstrip().split("…")) for line in shown)
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())) is not None
