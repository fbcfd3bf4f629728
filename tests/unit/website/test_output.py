"""A build empties its folder, and no other."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pages import PROJECT
from website.output import OutputError, make_empty


@pytest.mark.parametrize("folder", ["project", "."])
def test_the_project_is_not_emptied(folder: str, tmp_path: Path) -> None:
    """Though somebody has built into it once."""
    page = tmp_path / "project/README.md"
    page.parent.mkdir()
    page.write_text("# Kept")
    (tmp_path / folder / ".review-fetcher-site").touch()
    with pytest.raises(OutputError, match="holds the project"):
        make_empty(tmp_path / folder, page.parent)
    assert page.read_text() == "# Kept"


def test_a_folder_that_no_build_has_made_is_not_emptied(tmp_path: Path) -> None:
    kept = tmp_path / "photos/one.jpg"
    kept.parent.mkdir()
    kept.write_bytes(b"kept")
    with pytest.raises(OutputError, match="no build of the site has made"):
        make_empty(kept.parent, tmp_path / "project")
    assert kept.read_bytes() == b"kept"


def test_a_file_is_not_replaced(tmp_path: Path) -> None:
    file = tmp_path / "site"
    file.write_text("kept")
    with pytest.raises(OutputError, match="no folder"):
        make_empty(file, tmp_path / "project")
    assert file.read_text() == "kept"


@pytest.mark.parametrize("there", [False, True], ids=["new", "empty"])
def test_what_a_build_has_made_the_next_one_empties(there: bool, tmp_path: Path) -> None:
    site = tmp_path / "built/site"
    if there:
        site.mkdir(parents=True)
    make_empty(site, tmp_path / "project")
    (site / "old.html").touch()
    make_empty(site, tmp_path / "project")
    assert [path.name for path in site.iterdir()] == [".review-fetcher-site"]


def test_the_command_refuses_the_folder_that_it_stands_in(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    command = [sys.executable, "-m", "website", ".", str(PROJECT)]
    environment = {"PYTHONPATH": str(PROJECT)}
    done = subprocess.run(command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{tmp_path} holds something" in done.stderr
    assert (tmp_path / "kept").exists()
