"""The parts of a release, each made of the source alone, so that two makers get the same bytes."""

import re
import shutil
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from releasing.archives import Member, read_archive, write_archive
from releasing.commands import UV, run
from releasing.source import ReleaseError, Source

CHART = "deploy/helm/review-fetcher"

_COPY = re.compile(r"^COPY (?!--from)(.+) \S+$", re.MULTILINE)


def build_packages(source: Source, directory: Path) -> Path:
    """The source distribution and the wheel, in this folder; the path of the wheel.

    Raises ReleaseError, also when the source distribution builds another wheel than the source.
    """
    with tempfile.TemporaryDirectory() as scratch:
        clean = Path(scratch) / "source"
        copy_files(source, clean, "app", "pyproject.toml", "README.md", "CHANGELOG.md", ".gitignore")
        tools = Path(scratch) / "tools.txt"
        tools.write_text(build_tools(source))
        sdist = _built(source, clean, directory, "--sdist", tools)
        wheel = _built(source, clean, directory, "--wheel", tools)
        again = _built(source, sdist, Path(scratch) / "again", "--wheel", tools)
        if again.read_bytes() != wheel.read_bytes():
            raise ReleaseError(f"{sdist.name} builds another wheel than the source that it was made of")
    return wheel


def build_tools(source: Source) -> str:
    """What builds a wheel, as pyproject.toml pins it, in the form of requirements."""
    settings = tomllib.loads((source.project / "pyproject.toml").read_text())["tool"]["uv"]
    pinned = settings["build-constraint-dependencies"]
    return "".join(f"{one['requirement']} --hash={digest}\n" for one in pinned for digest in one["hashes"])


def _built(source: Source, what: Path, directory: Path, kind: str, tools: Path) -> Path:
    before = set(directory.glob("*"))
    how = ["--quiet", "--no-config", "--no-create-gitignore", "--require-hashes", f"--build-constraints={tools}"]
    run([UV, "build", kind, *how, f"--out-dir={directory}", what], source)
    (made,) = set(directory.glob("*")) - before
    return made


def write_context(source: Source, path: Path, repository: str) -> None:
    """A .tar.gz that `docker build` takes as it is: the Dockerfile, what it copies, and nothing else.

    The Dockerfile in it has the labels of this version. `repository`: where the source can be had, or nothing.
    """
    dockerfile = (source.project / "Dockerfile").read_text()
    copied = [word for words in _COPY.findall(dockerfile) for word in words.split()]
    members = {name: _member(source.project / name) for name in source.files(*copied)}
    labels = {
        "VERSION": source.version,
        "REVISION": source.revision,
        "CREATED": datetime.fromtimestamp(source.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "SOURCE": repository,
    }
    members["Dockerfile"] = Member(with_arguments(dockerfile, labels).encode())
    write_archive(path, members, source.epoch)


def with_arguments(dockerfile: str, values: dict[str, str]) -> str:
    """With these values where an argument is not given. Raises ReleaseError for an argument that it does not have."""
    for name, value in values.items():
        dockerfile, count = re.subn(rf"^ARG {name}=.*$", f"ARG {name}={value}", dockerfile, flags=re.MULTILINE)
        if count != 1:
            raise ReleaseError(f"the Dockerfile has {count} lines ARG {name}=, and one is wanted")
    return dockerfile


def package_chart(source: Source, directory: Path) -> None:
    """By Helm itself; then with the times of the commit, because Helm takes those of the files. Raises ReleaseError."""
    helm = run([sys.executable, source.project / "scripts" / "helm_tools.py"], source).strip()
    with tempfile.TemporaryDirectory() as scratch:
        copy_files(source, Path(scratch), CHART)
        versions = [f"--version={chart_version(source.version)}", f"--app-version={source.version}"]
        run([helm, "package", Path(scratch) / CHART, *versions, f"--destination={scratch}"], source)
        (packaged,) = Path(scratch).glob("*.tgz")
        write_archive(directory / packaged.name, read_archive(packaged), source.epoch)


def chart_version(version: str) -> str:
    """Helm reads versions by SemVer alone: `1.2.0.dev3` is `1.2.0-dev.3` there."""
    return re.sub(r"^(\d+\.\d+\.\d+)\.?([a-z]+)(\d+)$", r"\1-\2.\3", version)


def write_sbom(source: Source, path: Path) -> None:
    """What the image holds, by `make supply-chain`, whose lock, hashes and licences have to be right. ReleaseError."""
    steps = ("lock", "install", "sbom", "licences")
    run([sys.executable, source.project / "scripts" / "supply_chain.py", *steps], source)
    shutil.copyfile(source.project / "dist" / "sbom.cdx.json", path)


def copy_files(source: Source, directory: Path, *paths: str) -> None:
    """What git knows of these paths. ReleaseError when that is nothing."""
    for path in paths:
        names = source.files(path)
        if not names:
            raise ReleaseError(f"{path} is missing")
        for name in names:
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source.project / name, directory / name)


def _member(path: Path) -> Member:
    return Member(path.read_bytes(), bool(path.stat().st_mode & 0o100))
