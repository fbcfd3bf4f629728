"""What `make release` refuses, and that what it writes depends on the source alone."""

import importlib.metadata
import os
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from release import write_sums
from releasing.archives import Member, read_archive, write_archive
from releasing.artifacts import build_tools, chart_version, with_arguments, write_context
from releasing.proof import reviews_in
from releasing.source import ReleaseError, check_releasable, read_source, section_of

PROJECT = Path(__file__).resolve().parents[3]

CHANGELOG = """# Changelog

## Unreleased

- What comes.

## 1.2.0 (2026-12-01)

- What changed.

## 1.1.0 (2026-11-01)

## 1.0.0

- A section without a day.
"""


@pytest.mark.parametrize(
    ("version", "told"),
    [("1.2.0", "- What changed."), ("1.1.0", ""), ("1.0.0", ""), ("1.2", ""), ("Unreleased", ""), ("3.0.0", "")],
)
def test_a_version_is_told_of_when_it_has_a_day_and_something_to_say(version: str, told: str) -> None:
    assert section_of(version, CHANGELOG) == told


Repository = Callable[[str], Path]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """A project of one commit, in the version that it is called with."""
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "A test")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "test@example.com")
        monkeypatch.setenv(f"GIT_{who}_DATE", "2026-12-01T10:00:00Z")

    def committed(version: str) -> Path:
        (tmp_path / "pyproject.toml").write_text(f'[project]\nname = "review-fetcher"\nversion = "{version}"\n')
        (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
        (tmp_path / ".gitignore").write_text("ignored\n")
        git = ["git", "-C", str(tmp_path)]
        for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "One"]):
            subprocess.run([*git, *words], check=True)
        return tmp_path

    return committed


def test_a_commit_with_a_version_that_the_changelog_tells_of_is_released(repository: Repository) -> None:
    source = read_source(repository("1.2.0"))
    check_releasable(source)
    assert (source.version, source.epoch, len(source.revision)) == ("1.2.0", 1796119200, 40)


def test_what_no_commit_has_is_not_released_and_is_named(repository: Repository) -> None:
    project = repository("1.2.0")
    (project / "ignored").write_text("is no part of it")
    check_releasable(read_source(project))
    (project / "new.py").write_text("")
    source = read_source(project)
    assert source.revision.endswith("-dirty")
    with pytest.raises(ReleaseError, match=r"changes that no commit has \(new\.py\): commit or remove them"):
        check_releasable(source)


@pytest.mark.parametrize(
    ("version", "why"),
    [
        ("1.2.0.dev0", "is no version of a release"),
        ("1.2", "is no version of a release"),
        ("1.1.0", "has no section for 1.1.0, or an empty one"),
        ("2.0.0", r'write what changed under "## 2.0.0 \(year-month-day\)"'),
    ],
)
def test_a_version_that_is_not_ready_is_not_released(version: str, why: str, repository: Repository) -> None:
    with pytest.raises(ReleaseError, match=why):
        check_releasable(read_source(repository(version)))


def test_all_that_is_missing_is_said_at_once(repository: Repository) -> None:
    project = repository("1.2.0.dev0")
    (project / "new.py").write_text("")
    with pytest.raises(ReleaseError, match=r"no commit has.*; 1\.2\.0\.dev0 is no version.*make release SNAPSHOT=1"):
        check_releasable(read_source(project))


def test_a_folder_without_a_commit_is_not_released(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="not a git repository"):
        read_source(tmp_path)


def test_an_archive_depends_on_its_content_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "first.tar.gz", tmp_path / "second.tar.gz"
    members = {"b/run": Member(b"#!", executable=True), "a": Member(b"text")}
    write_archive(first, members, 1796119200)
    write_archive(second, dict(reversed(members.items())), 1796119200)
    assert first.read_bytes() == second.read_bytes()
    assert read_archive(first) == members
    listed = subprocess.run(["tar", "tvf", str(first)], check=True, capture_output=True, text=True).stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["-rw-r--r--", "-rwxr-xr-x"]
    assert {line.split()[1] for line in listed} == {"0/0"}


def test_the_context_of_the_image_is_what_the_dockerfile_copies_and_nothing_else(tmp_path: Path) -> None:
    source = read_source(PROJECT)
    write_context(source, tmp_path / "context.tar.gz", "https://example.com/it")
    members = read_archive(tmp_path / "context.tar.gz")
    alone = {"Dockerfile", "README.md", "pyproject.toml", "uv.lock", "scripts/create_environment.py"}
    assert {name for name in members if not name.startswith("app/")} == alone
    tracked = subprocess.run(["git", "ls-files", "app"], check=True, cwd=PROJECT, capture_output=True, text=True).stdout
    assert {name for name in members if name.startswith("app/")} >= set(tracked.split())
    assert not any("__pycache__" in name or ".env" in name for name in members)
    written = members.pop("Dockerfile").content.decode()
    assert f"ARG VERSION={source.version}\nARG REVISION={source.revision}\nARG CREATED=20" in written
    assert "ARG SOURCE=https://example.com/it\n" in written
    assert all(member.content == (PROJECT / name).read_bytes() for name, member in members.items())


def test_a_label_that_the_dockerfile_does_not_take_is_an_error() -> None:
    with pytest.raises(ReleaseError, match="0 lines ARG VERSION="):
        with_arguments("FROM scratch\n", {"VERSION": "1"})


@pytest.mark.parametrize(
    ("version", "chart"), [("1.2.3", "1.2.3"), ("1.2.3.dev0", "1.2.3-dev.0"), ("1.2.3rc1", "1.2.3-rc.1")]
)
def test_a_chart_has_the_same_version_as_helm_writes_it(version: str, chart: str) -> None:
    assert chart_version(version) == chart


def test_what_builds_the_wheel_is_pinned_with_hashes() -> None:
    """The backend, and each package that it needs here."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    pinned = build_tools(read_source(PROJECT)).splitlines()
    assert project["tool"]["uv"]["require-build-hashes"] is True
    assert all(" --hash=sha256:" in line for line in pinned)
    assert set(project["build-system"]["requires"]) <= {line.split()[0] for line in pinned}


def test_the_sums_are_those_of_the_files_as_sha256sum_checks_them(tmp_path: Path) -> None:
    (tmp_path / "wheel").write_bytes(b"one")
    (tmp_path / "chart").write_bytes(b"two")
    write_sums(tmp_path)
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(check, check=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["chart: OK", "wheel: OK"]
    (tmp_path / "wheel").write_bytes(b"another")
    assert subprocess.run(check, check=False, cwd=tmp_path, capture_output=True).returncode == 1


@pytest.mark.parametrize("lines", ["", '{"location": "l", "review_id": "r"}\n' * 2])
def test_a_demo_that_wrote_nothing_or_one_review_twice_is_none(lines: str, tmp_path: Path) -> None:
    (tmp_path / "reviews.ndjson").write_text(lines)
    with pytest.raises(ReleaseError, match="the demo of the installed wheel wrote"):
        reviews_in(tmp_path / "reviews.ndjson")


def test_the_version_is_written_down_once() -> None:
    """What is installed, and so what the service says, is pyproject.toml's."""
    version = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"]
    assert importlib.metadata.version("review-fetcher") == version
    copies = ("app", "scripts", "Dockerfile", "compose.yaml")
    said = subprocess.run(
        ["git", "grep", "--fixed-strings", "--files-with-matches", f'"{version}"', "--", *copies],
        check=False,
        cwd=PROJECT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert said.stdout.split() == []
