"""`make release`: the same source gives the same bytes, and what it gives works."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from releasing.artifacts import build_packages, package_chart, write_context
from releasing.proof import prove
from releasing.source import ReleaseError, Source, git, read_source

from tests.support.transcripts import PROJECT, shown_commands

PAGE = PROJECT / "docs/releasing.md"

pytestmark = pytest.mark.timeout(300)  # whoever is first fetches the packages


@pytest.fixture(scope="module")
def source() -> Source:
    return read_source(PROJECT)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, source: Source) -> Path:
    """The folder of a release, without what needs the tools of the SBOM."""
    directory = tmp_path_factory.mktemp("built")
    make(source, directory)
    return directory


def make(source: Source, directory: Path) -> None:
    build_packages(source, directory)
    write_context(source, directory / "context.tar.gz", "")
    package_chart(source, directory)


def copied(source: Source, directory: Path) -> Source:
    """The same elsewhere, as another's checkout is: other times, and closed to everybody else."""
    for name in source.files():
        target = directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.project / name, target)
        target.chmod(0o700 if os.access(source.project / name, os.X_OK) else 0o600)
    git(directory, "init", "--quiet")
    return source._replace(project=directory)


@pytest.fixture
def elsewhere(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Not in the folder of the test, which is swept: the tests, which are copied too, are full of secrets."""
    return copied(source, tmp_path_factory.mktemp("elsewhere"))


def test_two_builders_get_the_same_bytes(built: Path, elsewhere: Source, tmp_path: Path) -> None:
    make(elsewhere, tmp_path)
    assert len(contents(built)) == 4
    assert contents(tmp_path) == contents(built)


def contents(directory: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_wheel_has_every_file_of_the_service_and_no_other(built: Path, source: Source) -> None:
    (wheel,) = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == set(source.files("app"))


def test_the_installed_wheel_runs_the_demo_where_nothing_else_is(built: Path, source: Source) -> None:
    (wheel,) = built.glob("*.whl")
    assert prove(wheel, source) == "3,000 reviews by the installed wheel"


def test_a_source_distribution_that_builds_another_wheel_is_refused(elsewhere: Source, tmp_path: Path) -> None:
    settings = elsewhere.project / "pyproject.toml"
    whole, part = 'only-include = ["app",', 'only-include = ["app/__init__.py",'
    settings.write_text(settings.read_text().replace(whole, part))
    with pytest.raises(ReleaseError, match="builds another wheel than the source"):
        build_packages(elsewhere, tmp_path)


@pytest.mark.nightly
@pytest.mark.timeout(1800)  # Helm, the packages and their SBOM, twice
def test_a_release_is_made_as_the_page_says_and_made_again_it_is_the_same(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Every command of "docs/releasing.md", in two clones of the commit."""
    commands = [shown.command.text for shown in shown_commands(PAGE)]
    (making,) = [number for number, command in enumerate(commands) if command.startswith("make release")]
    (checking,) = [number for number, command in enumerate(commands) if "sha256sum" in command]
    assert making < checking
    first, second = (clone(tmp_path_factory.mktemp(name) / "clone") for name in ("first", "second"))
    refused = run(first, ["make release"], check=False)
    assert refused.returncode != 0
    assert "is no version of a release" in refused.stderr
    run(first, commands[: making + 1])
    run(second, commands[: making + 1])
    (made,) = (first / "dist").glob("review-fetcher-*")
    assert len(contents(made)) == 6
    assert contents(second / "dist" / made.name) == contents(made)
    assert run(first, [commands[checking]]).stdout.count(": OK") == 5
    run(first, commands[making + 1 : checking])
    assert read_source(first).version.endswith(".dev0")


def clone(directory: Path) -> Path:
    """Of the last commit, with the Helm that is built here already."""
    git(PROJECT, "clone", "--quiet", str(PROJECT), str(directory))
    (directory / ".cache").mkdir()
    if (PROJECT / ".cache/helm").is_dir():
        (directory / ".cache/helm").symlink_to(PROJECT / ".cache/helm")
    return directory


def run(directory: Path, commands: list[str], *, check: bool = True) -> "subprocess.CompletedProcess[str]":
    who = {f"GIT_{role}_{what}": "test@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    when = {f"GIT_{role}_DATE": "2026-12-01T10:00:00Z" for role in ("AUTHOR", "COMMITTER")}
    inherited = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    script = "\n".join(["set -eu", ".venv/bin/python --version 2>&1 || make setup", *commands])
    done = subprocess.run(
        ["sh", "-c", script],
        check=False,
        cwd=directory,
        env=inherited | who | when | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done
