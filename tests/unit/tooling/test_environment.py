"""`.venv` is made from the lock file by any Python, once."""

import hashlib
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "create_environment.py"

WITHOUT_ENSUREPIP = (
    "import runpy, sys; sys.modules['ensurepip'] = None; "
    "sys.argv[:] = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
)

INSTALLER = """#!/bin/sh
if [ "$1" = --version ]; then echo "uv 9.9.9"; else echo "$@" >>calls; fi
"""
"""Stands for uv: knows its version and writes down what else it is asked for."""

LOCK = """
[[package]]
name = "uv"
version = "9.9.9"
wheels = [{{ url = "{url}", hash = "sha256:{digest}" }}]
"""

PYPROJECT = '[project]\nname = "toy"\n[dependency-groups]\n[build-system]\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose lock file names an installer that lies in a file."""
    root = tmp_path / "a project"
    (root / "scripts").mkdir(parents=True)
    shutil.copy(SCRIPT, root / "scripts")
    wheel = tmp_path / f"uv-9.9.9-py3-none-manylinux_2_17_{platform.machine()}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("uv-9.9.9.data/scripts/uv", INSTALLER)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (root / "uv.lock").write_text(LOCK.format(url=wheel.as_uri(), digest=digest))
    (root / "pyproject.toml").write_text(PYPROJECT)
    return root


def create(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_ENSUREPIP, "scripts/create_environment.py", *arguments]
    return subprocess.run(command, check=False, cwd=project, capture_output=True, text=True)


def calls(project: Path) -> list[str]:
    return (project / "calls").read_text().splitlines()


def test_a_python_without_ensurepip_makes_the_environment_too(project: Path) -> None:
    done = create(project)

    assert done.returncode == 0, done.stderr
    assert calls(project) == ["sync --locked --group=bootstrap"]


def test_the_second_run_asks_the_installer_nothing(project: Path) -> None:
    create(project)
    create(project)
    create(project, "--runtime")

    assert calls(project) == ["sync --locked --group=bootstrap"]


def test_an_environment_for_running_alone_is_completed_for_development(project: Path) -> None:
    create(project, "--runtime")
    create(project)

    assert calls(project) == ["sync --locked --group=bootstrap --no-dev", "sync --locked --group=bootstrap"]


@pytest.mark.parametrize(("name", "added"), [("uv.lock", "# new"), ("pyproject.toml", "requires = []")])
def test_a_changed_dependency_synchronizes_again(name: str, added: str, project: Path) -> None:
    create(project)
    with (project / name).open("a") as file:
        file.write(f"{added}\n")
    create(project)

    assert len(calls(project)) == 2


def test_a_setting_of_a_tool_does_not_synchronize_again(project: Path) -> None:
    create(project)
    with (project / "pyproject.toml").open("a") as file:
        file.write("[tool.toy]\n")
    create(project)

    assert len(calls(project)) == 1


def test_a_folder_that_was_moved_gets_a_new_environment(project: Path) -> None:
    create(project)
    (project / ".venv" / "marker").touch()
    moved = project.rename(project.with_name("moved"))
    create(moved)

    assert len(calls(moved)) == 2
    assert not (moved / ".venv" / "marker").exists()


def test_an_installer_that_is_not_the_locked_one_is_refused(project: Path) -> None:
    lock = project / "uv.lock"
    lock.write_text(lock.read_text().replace("sha256:", "sha256:0"))
    done = create(project)

    assert done.returncode == 1
    assert "is not the file that uv.lock names" in done.stderr
    assert not (project / ".venv" / "bin" / "uv").exists()
