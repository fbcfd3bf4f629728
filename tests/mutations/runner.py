"""Apply one patch at a time to a copy of the tree and see whether its tests go red."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from tests.mutations.patch import Mutation, PatchError

BROKEN_CODE = ("ImportError", "ModuleNotFoundError", "NameError", "SyntaxError", "AttributeError", "TypeError")
"""A test that fails with one of these met a patch that is not valid code, not a promise that is broken."""

TESTS_FAILED = 1
"""pytest's exit code. 2 to 5 say that it was interrupted, misused, or collected nothing."""


@dataclass(frozen=True)
class Run:
    """What pytest said about one selection. `failures`: the first line of each failed test's message."""

    exit_code: int
    passed: int
    failures: list[str]
    output: str


@contextmanager
def copy_of(project: Path) -> Iterator[Path]:
    """A scratch directory with every file of the work tree that git does not ignore."""
    listed = git(project, "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
    with tempfile.TemporaryDirectory(prefix="review-fetcher-mutations-") as scratch:
        copy = Path(scratch).resolve()
        for name in filter(None, listed.split("\0")):
            if (project / name).is_file():
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(project / name, copy / name)
        if (project / ".cache").exists():
            (copy / ".cache").symlink_to(project / ".cache")
        yield copy


def verify(mutation: Mutation, copy: Path, settings: Mapping[str, str]) -> None:
    """Return when the tests are green without the patch and red with it.

    Raises:
        PatchError: they are not, or the patch does not apply. The copy is as it was before.
    """
    expect_green(run_tests(mutation, copy, settings))
    with applied(mutation, copy):
        expect_red(run_tests(mutation, copy, settings))


@contextmanager
def applied(mutation: Mutation, copy: Path) -> Iterator[None]:
    done = git(copy, "apply", str(mutation.path))
    if done.returncode:
        raise PatchError(f"the patch does not apply: {done.stderr.strip()}")
    try:
        yield
    finally:
        git(copy, "apply", "--reverse", str(mutation.path)).check_returncode()


def expect_green(run: Run) -> None:
    if run.exit_code or not run.passed:
        raise PatchError(f"the tests are not green without the patch:\n{run.output}")


def expect_red(run: Run) -> None:
    if run.exit_code == 0:
        raise PatchError("the tests stay green with the patch: nothing sees that the promise is broken")
    seen = [failure for failure in run.failures if not failure.startswith(BROKEN_CODE)]
    if run.exit_code != TESTS_FAILED or not seen:
        raise PatchError(f"no test failed by what it asserts (exit code {run.exit_code}):\n{run.output}")


def run_tests(mutation: Mutation, copy: Path, settings: Mapping[str, str]) -> Run:
    """Run the mutation's tests on the copy: PYTHONPATH goes before the project that is installed in .venv."""
    report = copy / "report.xml"
    report.unlink(missing_ok=True)
    own = {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    done = subprocess.run(
        [*command, *mutation.tests],
        check=False,
        cwd=copy,
        env=os.environ | settings | own,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    return summarize(done.returncode, report, done.stdout + done.stderr)


def summarize(exit_code: int, report: Path, output: str) -> Run:
    cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []  # noqa: S314 (pytest's)
    failures = [failure.get("message", "") for case in cases for failure in case.iter("failure")]
    return Run(exit_code, sum(1 for case in cases if not len(case)), failures, output)


def git(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`git apply` also works where no repository is, and must not find one above."""
    ceiling = {"GIT_CEILING_DIRECTORIES": str(directory.parent)}
    command = ["git", "-C", str(directory), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | ceiling)
