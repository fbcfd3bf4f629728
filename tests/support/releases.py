"""Other versions of the program: the last one before the newest tables, out of the history, and one that is to come."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.machine import lacking
from tests.support.service import ROOT

MIGRATIONS = Path("app/store/migrations/versions")

NEXT = '''"""What a later version may do to the tables."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None

works_with = "{works_with}"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("of_{revision}", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "of_{revision}")
'''


def head_of(program: Path) -> str:
    """The newest revision that a version of the program knows."""
    return max(script.name[:4] for script in (program / MIGRATIONS).glob("[0-9]*.py"))


def version_before(directory: Path) -> Path:
    """The last version that did not know the newest revision of the tables, unpacked. Skips without the history."""
    newest = next((ROOT / MIGRATIONS).glob(f"{head_of(ROOT)}_*.py")).relative_to(ROOT)
    added = _git("log", "--diff-filter=A", "--format=%H", "-1", "--", str(newest)).decode().strip()
    before = f"{added}^" if added else "HEAD"
    archive = _git("archive", "--format=tar", before, "app")
    subprocess.run(["tar", "--extract", f"--directory={directory}"], input=archive, check=True)
    assert head_of(directory) < head_of(ROOT), f"{before} knows the newest tables"
    return directory


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], check=False, capture_output=True)
    if done.returncode:
        told = done.stderr.decode().strip()
        lacking(f"git {arguments[0]}: {told}: the version before comes out of the whole history")
    return done.stdout


def version_to_come(directory: Path) -> Path:
    """This version, to which `add_revision` may add."""
    shutil.copytree(ROOT / "app", directory / "app", ignore=shutil.ignore_patterns("__pycache__"))
    return directory


def add_revision(program: Path, revision: str, works_with: str) -> None:
    """One more migration, whose tables work with the code since another revision."""
    text = NEXT.format(revision=revision, before=head_of(program), works_with=works_with)
    (program / MIGRATIONS / f"{revision}_to_come.py").write_text(text)


def run_command(
    program: Path, directory: Path, settings: dict[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    """`review-fetcher …` of that version."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(program), **settings}
    command = [sys.executable, "-m", "app.cli", *words]
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)
