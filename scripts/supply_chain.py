"""What the service is made of: locked, verified, without known holes, listed.

    lock        uv.lock fits pyproject.toml, and names a hash for every file, each from the package index
    install     what the image holds installs from it, with every hash verified, and nothing else comes along
    sbom        dist/sbom.cdx.json (CycloneDX), checked against the standard's schema
    licences    docs/licences.md; fails for a licence that is not allowed
    advisories  no published vulnerability is known of any of it; fails too when nobody could be asked

All of them in this order, or those that are named. The tools have an environment of their own under build/.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path

from licences import LicenceError, licensed, page

PROJECT = Path(__file__).resolve().parents[1]
UV = PROJECT / ".venv" / "bin" / "uv"
WORK = PROJECT / "build" / "supply-chain"
TOOLS, RUNTIME = WORK / "tools", WORK / "runtime"
REQUIREMENTS = WORK / "requirements.txt"
SBOM = PROJECT / "dist" / "sbom.cdx.json"
LICENCES = PROJECT / "docs" / "licences.md"

KNOWN_HOLE = "jinja2==2.4.1"
"""Has had published vulnerabilities since 2014: who answers that there are none does not know."""

VALIDATE = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1], encoding="utf-8").read())
sys.exit(f"not CycloneDX 1.6: {problem}" if problem else 0)
"""


class SupplyChainError(Exception):
    """Something about the dependencies is not as it has to be; the message says what."""


def check_lock() -> None:
    """Raises SupplyChainError."""
    _run(UV, "lock", "--check", "--quiet")
    locked = tomllib.loads((PROJECT / "uv.lock").read_text())["package"]
    faults = [fault for package in locked for fault in faults_of(package)]
    if faults:
        raise SupplyChainError(f"uv.lock: {'; '.join(faults)}")
    print(f"{len(locked) - 1} packages, each file with its hash")


def faults_of(package: dict[str, object]) -> Iterable[str]:
    """What a package of the lock lacks. The project itself is the one that is no package of the index."""
    name, source = package["name"], package["source"]
    if source == {"editable": "."}:
        return
    if not isinstance(source, dict) or set(source) != {"registry"}:
        yield f"{name} does not come from the package index"
    wheels, sdist = package.get("wheels", []), package.get("sdist")
    files = [*(wheels if isinstance(wheels, list) else []), *([sdist] if sdist else [])]
    if not files:
        yield f"{name} has no files"
    for file in files:
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", str(file.get("hash"))):
            yield f"{name}: no SHA-256 of {file.get('url')}"


def install() -> None:
    """Raises SupplyChainError."""
    WORK.mkdir(parents=True, exist_ok=True)
    export = ["export", "--locked", "--no-dev", "--extra=parquet", "--no-emit-project", "--quiet"]
    _run(UV, *export, "--output-file", REQUIREMENTS)
    _run(UV, "venv", "--quiet", "--clear", RUNTIME)
    verified = ["--require-hashes", "--no-deps", f"--requirements={REQUIREMENTS}"]
    _run(UV, "pip", "install", "--quiet", "--python", RUNTIME / "bin" / "python", *verified)
    there = _run(UV, "pip", "freeze", "--python", RUNTIME / "bin" / "python").stdout.split()
    unlocked = {pin.lower().replace("_", "-") for pin in there} - set(pins(REQUIREMENTS.read_text()))
    if unlocked:
        raise SupplyChainError(f"installed and not in uv.lock: {', '.join(sorted(unlocked))}")
    print(f"{len(there)} packages installed, every hash verified")


def pins(requirements: str) -> list[str]:
    """`name==version` of each line. Raises SupplyChainError for one without a hash."""
    entries = re.findall(r"^([a-z0-9]\S+)(.*(?:\n .*)*)", requirements, re.MULTILINE)
    bare = [pin for pin, rest in entries if "--hash=sha256:" not in rest]
    if bare:
        raise SupplyChainError(f"without a hash: {', '.join(bare)}")
    return [pin for pin, _ in entries]


def write_sbom() -> None:
    """Raises SupplyChainError."""
    _make_tools()
    SBOM.parent.mkdir(exist_ok=True)
    options = [f"--pyproject={PROJECT / 'pyproject.toml'}", "--mc-type=application", "--spec-version=1.6"]
    written = ["--output-reproducible", "--output-format=JSON", f"--output-file={SBOM}"]
    _run(TOOLS / "bin" / "cyclonedx-py", "environment", RUNTIME / "bin" / "python", *options, *written)
    validate_sbom(SBOM)
    print(f"{SBOM.relative_to(PROJECT)}: {len(json.loads(SBOM.read_text())['components'])} components")


def validate_sbom(path: Path) -> None:
    """By the schema that comes with the library of the standard. Raises SupplyChainError."""
    _run(TOOLS / "bin" / "python", "-c", VALIDATE, path)


def list_licences() -> None:
    """Raises LicenceError."""
    packages = licensed(json.loads(SBOM.read_text()))
    LICENCES.write_text(page(packages))
    print(f"{LICENCES.relative_to(PROJECT)}: {len({one.licence for one in packages})} licences, all allowed")


def ask_for_advisories() -> None:
    """Raises SupplyChainError, also when the service cannot be asked, or answers without knowing."""
    _make_tools()
    control = WORK / "control.txt"
    control.write_text(f"{KNOWN_HOLE}\n")
    asked = _audit(control, "--no-deps", "--format=json")
    if not knows_holes(asked.stdout):
        raise SupplyChainError(
            f"nobody could be asked about vulnerabilities, so it is not known whether there are any. Asked about "
            f"{KNOWN_HOLE}, which has some, the answer was: {_last_line(asked)}"
        )
    answer = _audit(REQUIREMENTS, "--require-hashes")
    if answer.returncode:
        raise SupplyChainError(
            f"vulnerabilities, or packages that could not be asked about:\n{answer.stdout}{answer.stderr}"
        )
    print(_last_line(answer))


def knows_holes(answer: str) -> bool:
    """Whether the answer about the control names a vulnerability."""
    try:
        return any(one.get("vulns") for one in json.loads(answer)["dependencies"])
    except (ValueError, KeyError, TypeError):
        return False


def _audit(requirements: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`--strict`: a package that the service does not know is a failure, not left out."""
    how = ("--disable-pip", "--strict", "--progress-spinner=off", "--timeout=30")
    return _done(TOOLS / "bin" / "pip-audit", *how, *options, "--requirement", requirements)


def _make_tools() -> None:
    groups = ["--only-group=supply-chain", "--no-install-project"]
    _run(UV, "sync", "--locked", "--quiet", *groups, UV_PROJECT_ENVIRONMENT=str(TOOLS))


def _run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = _done(*command, **environment)
    if done.returncode:
        raise SupplyChainError(f"{Path(command[0]).name} {command[1]} failed:\n{done.stderr or done.stdout}")
    return done


def _done(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | environment
    return subprocess.run(command, check=False, cwd=PROJECT, env=variables, capture_output=True, text=True)


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1] if lines else f"nothing, exit code {done.returncode}"


STEPS: dict[str, Callable[[], None]] = {
    "lock": check_lock,
    "install": install,
    "sbom": write_sbom,
    "licences": list_licences,
    "advisories": ask_for_advisories,
}


def main(names: list[str]) -> int:
    unknown = set(names) - set(STEPS)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}\n\n{__doc__}", file=sys.stderr)
        return 2
    for name in names or STEPS:
        print(f"{name}: ", end="", flush=True)
        try:
            STEPS[name]()
        except (SupplyChainError, LicenceError) as error:
            print(f"failed\n{error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
