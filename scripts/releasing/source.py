"""What is released: its version, its commit, its time, and whether it may be."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import NamedTuple

FINAL = re.compile(r"\d+\.\d+\.\d+")


class ReleaseError(Exception):
    """No release comes of this; the message says why, and what to do."""


class Source(NamedTuple):
    """`epoch`: the commit's time in seconds. `revision`: the commit, `-dirty` behind it when there is more."""

    project: Path
    version: str
    revision: str
    epoch: int

    def files(self, *paths: str) -> list[str]:
        """The files below these paths, as git knows them or would take them."""
        listed = git(self.project, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths)
        return sorted({name for name in listed.split("\0") if name and (self.project / name).is_file()})


def read_source(project: Path) -> Source:
    """Raises ReleaseError where there is no commit."""
    revision, epoch = git(project, "log", "-1", "--format=%H %ct").split()
    changed = git(project, "status", "--porcelain")
    version = tomllib.loads((project / "pyproject.toml").read_text())["project"]["version"]
    return Source(project, version, revision + ("-dirty" if changed else ""), int(epoch))


def check_releasable(source: Source) -> None:
    """Raises ReleaseError, with everything that is missing."""
    faults = []
    if source.revision.endswith("-dirty"):
        changed = git(source.project, "status", "--porcelain").splitlines()
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        names = ", ".join(line[3:] for line in changed[:5])
        faults.append(f"the work tree has changes that no commit has ({names}{more}): commit or remove them")
    if not FINAL.fullmatch(source.version):
        faults.append(
            f"{source.version} is no version of a release: set one like 1.2.3 in pyproject.toml, then uv lock"
        )
    elif not section_of(source.version, (source.project / "CHANGELOG.md").read_text()):
        faults.append(
            f"CHANGELOG.md has no section for {source.version}, or an empty one: "
            f'write what changed under "## {source.version} (year-month-day)"'
        )
    if faults:
        raise ReleaseError("; ".join(faults) + ". To try it out all the same: make release SNAPSHOT=1")


def section_of(version: str, changelog: str) -> str:
    """What the changelog says of a version: nothing when it has no dated section."""
    heading = rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)\n(.*?)(?=^## |\Z)"
    found = re.search(heading, changelog, re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def git(project: Path, *words: str) -> str:
    """Raises ReleaseError with what git says."""
    done = subprocess.run(["git", "-C", str(project), *words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise ReleaseError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout
