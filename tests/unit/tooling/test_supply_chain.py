"""What `make supply-chain` refuses, and that its list of licences is the lock's. ASVS 5.0 V15."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from licences import ALLOWED, LicenceError, is_allowed, licensed
from packaging.requirements import Requirement
from supply_chain import SupplyChainError, faults_of, knows_holes, main, pins

PROJECT = Path(__file__).resolve().parents[3]

INDEX = {"registry": "https://index.example/simple"}
FILE = {"url": "https://files.example/a-1.whl", "hash": f"sha256:{'0' * 64}"}


def component(*licences: dict[str, Any], name: str = "a") -> dict[str, Any]:
    return {"components": [{"name": name, "version": "1", "licenses": list(licences)}]}


def test_the_list_of_licences_has_exactly_the_packages_that_the_image_gets_from_the_lock() -> None:
    export = ["uv", "export", "--frozen", "--no-dev", "--extra=parquet", "--no-emit-project", "--no-hashes", "--quiet"]
    locked = subprocess.run(
        [str(PROJECT / ".venv/bin" / export[0]), *export[1:]], check=True, cwd=PROJECT, capture_output=True, text=True
    ).stdout
    pinned = [Requirement(line) for line in locked.splitlines() if re.match("[a-z0-9]", line)]
    on_linux = {"sys_platform": "linux", "python_version": "3.11", "python_full_version": "3.11.9"}
    wanted = {f"{one.name}{one.specifier}" for one in pinned if not one.marker or one.marker.evaluate(on_linux)}
    rows = re.findall(r"^\| ([^ |]+) \| ([^ |]+) \| (.+) \|$", (PROJECT / "docs/licences.md").read_text(), re.MULTILINE)
    listed = {f"{name.lower().replace('_', '-')}=={version}" for name, version, _ in rows[1:]}
    assert listed == wanted, "run make supply-chain"
    assert [row for row in rows[1:] if not is_allowed(row[2])] == []


def test_the_tools_are_no_part_of_the_service_or_of_its_development() -> None:
    for groups in (["--no-dev", "--extra=parquet"], []):
        command = [str(PROJECT / ".venv/bin/uv"), "export", "--frozen", "--no-hashes", "--quiet", *groups]
        packages = subprocess.run(command, check=True, cwd=PROJECT, capture_output=True, text=True).stdout
        assert "fastapi==" in packages
        assert "cyclonedx" not in packages
        assert "pip-audit" not in packages


@pytest.mark.parametrize("expression", ["MIT", "Apache-2.0 OR BSD-3-Clause", "(MIT AND PSF-2.0)", *sorted(ALLOWED)])
def test_a_licence_that_is_allowed(expression: str) -> None:
    assert is_allowed(expression)


@pytest.mark.parametrize(
    "expression", ["", "GPL-3.0-only", "MIT AND GPL-3.0-only", "MIT OR AGPL-3.0-only", "BSD License", "UNKNOWN", "AND"]
)
def test_a_licence_that_is_not_allowed_or_not_known(expression: str) -> None:
    assert not is_allowed(expression)


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ([{"license": {"id": "GPL-3.0-only"}}], "a 1: GPL-3.0-only"),
        ([{"license": {"name": "Proprietary"}}], "a 1: Proprietary"),
        ([{"license": {"id": "MIT"}}, {"license": {"name": "Other/Proprietary License"}}], "MIT AND Other/Proprietary"),
        ([{"expression": "MIT AND LGPL-2.1-only"}], "a 1: MIT AND LGPL-2.1-only"),
        ([], "a 1: none told"),
    ],
)
def test_a_package_that_may_not_be_shipped_is_named(told: list[dict[str, Any]], shown: str) -> None:
    with pytest.raises(LicenceError, match=re.escape(shown)):
        licensed(component(*told))


def test_what_a_package_tells_in_several_places_counts_together() -> None:
    apache = {"license": {"name": "License :: OSI Approved :: Apache Software License"}}
    (found,) = licensed(component({"license": {"id": "MIT"}}, apache, apache))
    assert found.licence == "MIT AND Apache-2.0"


@pytest.mark.parametrize(
    ("package", "fault"),
    [
        ({"name": "a", "source": INDEX, "wheels": [FILE, {"url": "https://files.example/b.whl"}]}, "no SHA-256 of"),
        ({"name": "a", "source": INDEX, "wheels": [FILE | {"hash": "md5:00"}]}, "no SHA-256 of"),
        ({"name": "a", "source": INDEX, "sdist": {"url": "x"}}, "no SHA-256 of x"),
        ({"name": "a", "source": INDEX}, "has no files"),
        (
            {"name": "a", "source": {"git": "https://elsewhere.example"}, "wheels": [FILE]},
            "not come from the package index",
        ),
        (
            {"name": "a", "source": {"url": "https://elsewhere.example"}, "wheels": [FILE]},
            "not come from the package index",
        ),
        ({"name": "a", "source": {"path": "../a"}, "wheels": [FILE]}, "not come from the package index"),
    ],
)
def test_a_package_of_the_lock_that_nobody_can_verify_is_a_fault(package: dict[str, Any], fault: str) -> None:
    assert fault in "; ".join(faults_of(package))


def test_a_package_of_the_lock_that_can_be_verified_is_none() -> None:
    assert list(faults_of({"name": "a", "source": INDEX, "wheels": [FILE], "sdist": FILE})) == []
    assert list(faults_of({"name": "review-fetcher", "source": {"editable": "."}})) == []


def test_a_requirement_without_a_hash_is_refused() -> None:
    good = (
        "# a comment\na==1 ; sys_platform == 'win32' \\\n    --hash=sha256:00 \\\n    --hash=sha256:01\n    # via b\n"
    )
    assert pins(good) == ["a==1"]
    with pytest.raises(SupplyChainError, match=r"without a hash: b==2$"):
        pins(f"{good}b==2\n    # via c\n")


@pytest.mark.parametrize(
    ("answer", "knows"),
    [
        ('{"dependencies": [{"name": "jinja2", "version": "2.4.1", "vulns": [{"id": "PYSEC-1"}]}]}', True),
        ('{"dependencies": [{"name": "jinja2", "version": "2.4.1", "vulns": []}]}', False),
        ('{"dependencies": [{"name": "jinja2", "skip_reason": "not found"}]}', False),
        ('{"dependencies": []}', False),
        ("", False),
        ("null", False),
    ],
)
def test_a_service_that_knows_no_hole_of_an_old_version_knows_nothing(answer: str, knows: bool) -> None:
    assert knows_holes(answer) is knows


def test_a_step_that_does_not_exist_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lock", "licenses"]) == 2
    assert "unknown: licenses" in capsys.readouterr().err
