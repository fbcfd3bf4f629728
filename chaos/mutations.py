"""Show that a run can fail: break the service in a copy of the tree, and expect the table to say so.

The patches are those of `tests.mutations`, but `Tests:` holds the arguments of a run, and `Red:` names the row of the
table that must be red, since a busy machine may well turn another one.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from chaos.servers import PROJECT
from tests.mutations.patch import Mutation, PatchError, parse_header, read
from tests.mutations.runner import applied, copy_of

PATCHES = PROJECT / "tests" / "mutations" / "chaos"
MISSED = 1
"""The exit code of a run that found a promise broken."""

RED = "MISSED"


def main() -> int:
    """0 when every mutation was seen."""
    paths = sorted(PATCHES.glob("*.patch"))
    with copy_of(PROJECT) as copy:
        outcomes = [is_seen(path, copy) for path in paths]
    print(f"\n{sum(outcomes)} of {len(outcomes)} mutations seen")
    return 0 if outcomes and all(outcomes) else 1


def is_seen(path: Path, copy: Path) -> bool:
    began = time.monotonic()
    try:
        mutation = read(path)
        with applied(mutation, copy):
            missed = run(mutation, copy)
    except PatchError as error:
        print(f"NOT SEEN  {path.stem}: {error}", flush=True)
        return False
    print(f"seen      {mutation.name} ({mutation.promise}) {time.monotonic() - began:.0f} s", flush=True)
    for line in missed:
        print(f"          {line}", flush=True)
    return True


def run(mutation: Mutation, copy: Path) -> list[str]:
    """A run of the broken service; the rows that went red.

    Raises:
        PatchError: the one that had to did not, or the run could not be done.
    """
    expected = parse_header(mutation.path.read_text().partition("diff --git ")[0])["Red"]
    own = {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "chaos", *mutation.tests],
        check=False,
        cwd=copy,
        env=os.environ | own,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    missed = [line.strip("│ ") for line in done.stdout.splitlines() if RED in line]
    if done.returncode != MISSED or not any(line.startswith(expected) for line in missed):
        raise PatchError(f"{expected!r} is not red (exit code {done.returncode}):\n{done.stdout}{done.stderr}")
    return missed
