"""The shell completes what it is typed halfway."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

SECONDS = 60.0
"""Only ends a test that hangs."""

bash = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash on this machine")


@bash
def test_a_tab_completes_commands_and_options_in_bash(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    search = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env={"PATH": search, "HOME": str(tmp_path), "TERM": "dumb", "PS1": "> "},
        start_new_session=True,
    ) as shell:
        os.close(theirs)
        try:
            os.write(ours, b'eval "$(review-fetcher --show-completion)"; echo switched on\n')
            _until(ours, b"\nswitched on")
            os.write(ours, b"review-fetcher reviews exp\t--ou\tx.csv --for\t\t")
            _until(ours, b"review-fetcher reviews export --out x.csv --for")
            os.write(ours, b"\x15review-fetcher vers\t\n")
            assert b"review-fetcher version" in _until(ours, b"SQLite 3.")
        finally:
            shell.kill()
            os.close(ours)


def _until(terminal: int, words: bytes) -> bytes:
    """What the terminal shows, up to these words."""
    shown, deadline = b"", time.monotonic() + SECONDS
    while words not in shown.replace(b"\r", b""):
        assert select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0], shown.decode()
        shown += os.read(terminal, 4096)
    return shown
