"""The runner of mutations tells a promise that tests guard from one that they do not."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutations.patch import PatchError, read
from tests.mutations.runner import copy_of, verify

CODE = "def double(number: int) -> int:\n    return number * 2\n"

TESTS = """
import toy

def test_exact():
    assert toy.double(3) == 6

def test_blind():
    toy.double(3)
"""

FAST = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""The toy needs none of the plugins that take most of pytest's start."""

HEADER = "Promise: doubling doubles\nFiles: toy.py\nTests: test_toy.py::{test}\n\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A tiny repository whose one function is guarded by one test and not by the other."""
    root = tmp_path / "a project"
    root.mkdir()
    (root / "toy.py").write_text(CODE)
    (root / "test_toy.py").write_text(TESTS)
    (root / ".gitignore").write_text("left-out\n")
    (root / "left-out").write_text("")
    subprocess.run(["git", "init", "--quiet", root], check=True)
    return root


@pytest.fixture
def copy(project: Path) -> Iterator[Path]:
    with copy_of(project) as copy:
        yield copy


def write_patch(folder: Path, *, test: str, old: str = "return number * 2", new: str) -> Path:
    diff = (
        "diff --git a/toy.py b/toy.py\n--- a/toy.py\n+++ b/toy.py\n@@ -1,2 +1,2 @@\n"
        f" def double(number: int) -> int:\n-    {old}\n+    {new}\n"
    )
    path = folder / "toy.patch"
    path.write_text(HEADER.format(test=test) + diff)
    return path


def test_a_broken_promise_that_a_test_asserts_is_seen_and_mended_again(tmp_path: Path, copy: Path) -> None:
    mutation = read(write_patch(tmp_path, test="test_exact", new="return number * 3"))

    verify(mutation, copy, FAST)

    assert mutation.promise == "doubling doubles"
    assert (copy / "toy.py").read_text() == CODE


def test_a_broken_promise_that_no_test_asserts_is_an_error(tmp_path: Path, copy: Path) -> None:
    mutation = read(write_patch(tmp_path, test="test_blind", new="return number * 3"))

    with pytest.raises(PatchError, match="stay green"):
        verify(mutation, copy, FAST)
    assert (copy / "toy.py").read_text() == CODE


@pytest.mark.parametrize("new", ["return nimber * 3", "return number *", "return number.double"])
def test_a_patch_that_is_not_valid_code_does_not_count_as_seen(new: str, tmp_path: Path, copy: Path) -> None:
    mutation = read(write_patch(tmp_path, test="test_exact", new=new))

    with pytest.raises(PatchError, match="no test failed by what it asserts"):
        verify(mutation, copy, FAST)


def test_a_patch_that_does_not_fit_the_code_is_an_error(tmp_path: Path, copy: Path) -> None:
    mutation = read(write_patch(tmp_path, test="test_exact", old="return 2 * number", new="return 3"))

    with pytest.raises(PatchError, match="does not apply"):
        verify(mutation, copy, FAST)


def test_a_selection_that_finds_no_test_is_an_error(tmp_path: Path, copy: Path) -> None:
    mutation = read(write_patch(tmp_path, test="test_gone", new="return number * 3"))

    with pytest.raises(PatchError, match="not green without the patch"):
        verify(mutation, copy, FAST)


def test_a_patch_must_name_its_promise_and_the_files_it_changes(tmp_path: Path) -> None:
    path = write_patch(tmp_path, test="test_exact", new="return 0")
    path.write_text(path.read_text().replace("Files: toy.py", "Files: other.py"))
    with pytest.raises(PatchError, match=r"Files names other\.py, the diff changes toy\.py"):
        read(path)

    path.write_text(path.read_text().replace("Promise: doubling doubles\n", ""))
    with pytest.raises(PatchError, match="lacks Promise"):
        read(path)


def test_the_copy_leaves_out_what_git_ignores(copy: Path) -> None:
    assert sorted(path.name for path in copy.iterdir()) == [".gitignore", "test_toy.py", "toy.py"]
