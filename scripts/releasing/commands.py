"""Commands that a release is made with, at the time of its commit."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from releasing.source import ReleaseError, Source

_OF_AN_ENVIRONMENT = ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONPATH")


def run(command: Sequence[str | Path], source: Source) -> str:
    """What it printed. Raises ReleaseError with what it complained of."""
    inherited = {name: value for name, value in os.environ.items() if name not in _OF_AN_ENVIRONMENT}
    return run_with(inherited | {"SOURCE_DATE_EPOCH": str(source.epoch)}, command, source.project)


def run_with(environment: dict[str, str], command: Sequence[str | Path], directory: Path) -> str:
    """The same with these variables and no others."""
    words = [str(word) for word in command]
    done = subprocess.run(words, check=False, cwd=directory, env=environment, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise ReleaseError(
            f"{' '.join([Path(words[0]).name, *words[1:2]])} failed, exit code {done.returncode}:\n{said}"
        )
    return done.stdout


UV = Path(sys.executable).with_name("uv")
"""The one that uv.lock pins, beside this Python."""
