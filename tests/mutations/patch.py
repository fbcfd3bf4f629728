"""A mutation: a patch that breaks one promise, and the tests that must see it."""

import re
from dataclasses import dataclass
from pathlib import Path

FIELDS = ("Promise", "Files", "Tests")


class PatchError(Exception):
    """The patch file does not say what a mutation needs, or does not fit the code."""


@dataclass(frozen=True)
class Mutation:
    """`promise` in words; `files` are those that the patch changes; `tests` are pytest's arguments."""

    name: str
    path: Path
    promise: str
    files: tuple[str, ...]
    tests: tuple[str, ...]


def read(path: Path) -> Mutation:
    """The header is what stands before the diff: `Promise:`, `Files:` and `Tests:`, continued on indented lines."""
    header, _, diff = path.read_text().partition("diff --git ")
    fields = parse_header(header)
    missing = [name for name in FIELDS if not fields.get(name)]
    if missing:
        raise PatchError(f"{path.name}: the header lacks {', '.join(missing)}")
    files = tuple(fields["Files"].split())
    changed = tuple(re.findall(r"^\+\+\+ b/(\S+)", diff, re.MULTILINE))
    if sorted(files) != sorted(changed):
        raise PatchError(f"{path.name}: Files names {', '.join(files)}, the diff changes {', '.join(changed)}")
    return Mutation(path.stem, path, fields["Promise"], files, tuple(fields["Tests"].split()))


def parse_header(header: str) -> dict[str, str]:
    unfolded = re.sub(r"\n[ \t]+", " ", header)
    return dict(re.findall(r"^(\w+): *(.*?) *$", unfolded, re.MULTILINE))
