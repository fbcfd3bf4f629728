"""`python -m tests.mutations [name …]`: break each promise on purpose; exit 0 when every one was seen."""

import sys
import time
from pathlib import Path

from tests.mutations.patch import Mutation, PatchError, read
from tests.mutations.runner import copy_of, verify
from tests.support import services

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]


def main(names: list[str]) -> int:
    known = {path.stem: path for path in sorted(HERE.glob("*.patch"))}
    unknown = [name for name in names if name not in known]
    if unknown or not known:
        print(f"No such mutation: {', '.join(unknown) or 'there is none'}. Known: {', '.join(known)}", file=sys.stderr)
        return 2
    settings = running_services()
    with copy_of(PROJECT) as copy:
        outcomes = [is_seen(known[name], copy, settings) for name in names or known]
    print(f"\n{sum(outcomes)} of {len(outcomes)} mutations seen")
    return 0 if all(outcomes) else 1


def running_services() -> dict[str, str]:
    """The settings of what `make services` started, so that each run does not start its own."""
    lines = services.run("env").stdout.splitlines()
    return dict(line.split("=", 1) for line in lines)


def is_seen(path: Path, copy: Path, settings: dict[str, str]) -> bool:
    began = time.monotonic()
    try:
        mutation: Mutation = read(path)
        verify(mutation, copy, settings)
    except PatchError as error:
        print(f"NOT SEEN  {path.stem}: {error}", flush=True)
        return False
    print(f"seen      {mutation.name} ({mutation.promise}) {time.monotonic() - began:.1f} s", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
