"""Create .venv from uv.lock with nothing but Python itself. Instant when it is up to date already.

`--runtime` leaves out what only development needs; an environment that has more serves it too.
"""

import hashlib
import importlib.util
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
import venv
import zipfile
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[1]
ENVIRONMENT = PROJECT / ".venv"
STAMP = ENVIRONMENT / ".review-fetcher.json"
PYTHON = ENVIRONMENT / "bin" / "python"
UV = ENVIRONMENT / "bin" / "uv"


class Installer(NamedTuple):
    """uv as uv.lock pins it. `wheels`: address → SHA-256 in hex."""

    version: str
    wheels: dict[str, str]


def main() -> int:
    runtime_only = "--runtime" in sys.argv[1:]
    if is_current(runtime_only):
        return 0
    try:
        create(pinned_installer())
        synchronize(runtime_only)
    except (subprocess.CalledProcessError, OSError) as error:
        print(f"\nmake setup failed: {error}\nThe first setup needs the network.", file=sys.stderr)
        return 1
    STAMP.write_text(json.dumps(stamp(runtime_only)))
    return 0


def stamp(runtime_only: bool) -> dict[str, str | bool]:
    """What the environment was made for, folder included: scripts in .venv/bin name it in full."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    tables = [settings[name] for name in ("project", "dependency-groups", "build-system")]
    inputs = json.dumps(tables, sort_keys=True) + (PROJECT / "uv.lock").read_text()
    return {
        "project": str(PROJECT),
        "inputs": hashlib.sha256(inputs.encode()).hexdigest(),
        "runtime_only": runtime_only,
    }


def is_current(runtime_only: bool) -> bool:
    if not PYTHON.exists() or not STAMP.exists():
        return False
    found = json.loads(STAMP.read_text())
    return found in ([stamp(False), stamp(True)] if runtime_only else [stamp(False)])


def pinned_installer() -> Installer:
    locked = tomllib.loads((PROJECT / "uv.lock").read_text())["package"]
    uv = next(package for package in locked if package["name"] == "uv")
    wheels = {wheel["url"]: wheel["hash"].removeprefix("sha256:") for wheel in uv["wheels"]}
    return Installer(uv["version"], wheels)


def create(installer: Installer) -> None:
    if not is_usable():
        has_pip = importlib.util.find_spec("ensurepip") is not None
        venv.create(ENVIRONMENT, clear=True, symlinks=True, with_pip=has_pip)
    if installed_version() != installer.version:
        if run_python("-c", "import pip"):
            install_with_pip(installer)
        else:
            install_without_pip(installer)


def is_usable() -> bool:
    """Whether .venv was made in this folder, by a Python that is still there and new enough."""
    if STAMP.exists() and json.loads(STAMP.read_text())["project"] != str(PROJECT):
        return False
    return run_python("-c", "import sys; sys.exit(sys.version_info < (3, 11))")


def run_python(*arguments: str) -> bool:
    return PYTHON.exists() and not subprocess.run([PYTHON, *arguments], check=False, capture_output=True).returncode


def installed_version() -> str | None:
    if not UV.exists():
        return None
    said = subprocess.run([UV, "--version"], check=False, capture_output=True, text=True).stdout
    return said.split()[1] if said else None


def install_with_pip(installer: Installer) -> None:
    hashes = " ".join(f"--hash=sha256:{digest}" for digest in installer.wheels.values())
    with tempfile.TemporaryDirectory() as scratch:
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text(f"uv=={installer.version} {hashes}\n")
        options = ["--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary=:all:"]
        subprocess.run([PYTHON, "-m", "pip", "install", *options, "-r", requirements], check=True)


def install_without_pip(installer: Installer) -> None:
    """Debian's python3 comes without ensurepip, and downloading and unpacking needs only Python."""
    address = wheel_for_this_machine(installer)
    with urllib.request.urlopen(address, timeout=60) as response:  # noqa: S310 (an address of uv.lock)
        content: bytes = response.read()
    if hashlib.sha256(content).hexdigest() != installer.wheels[address]:
        raise OSError(f"{address} is not the file that uv.lock names")
    with zipfile.ZipFile(io.BytesIO(content)) as wheel:
        member = next(name for name in wheel.namelist() if name.endswith(".data/scripts/uv"))
        UV.unlink(missing_ok=True)  # it may be a hard link into uv's cache
        UV.write_bytes(wheel.read(member))
    UV.chmod(0o755)


def wheel_for_this_machine(installer: Installer) -> str:
    for address in installer.wheels:
        if "manylinux" in address and address.endswith(f"_{platform.machine()}.whl"):
            return address
    raise OSError("this Python has neither ensurepip nor a ready uv. Debian and Ubuntu: apt-get install python3-venv")


def synchronize(runtime_only: bool) -> None:
    """Make .venv exactly what uv.lock says; pyproject.toml and uv.lock that disagree are an error."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    environment |= {"UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT), "UV_PYTHON_DOWNLOADS": "never"}
    groups = ["--group=bootstrap", *(["--no-dev"] if runtime_only else [])]
    subprocess.run([UV, "sync", "--locked", *groups], check=True, cwd=PROJECT, env=environment)


if __name__ == "__main__":
    sys.exit(main())
