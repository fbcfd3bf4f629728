"""Every mutation still fits the code it breaks; `make mutations` shows that it is seen."""

import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
PATCHES = sorted((PROJECT / "tests" / "mutations").rglob("*.patch"))


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_mutation_applies(patch: Path) -> None:
    command = ["git", "apply", "--check", "--recount", str(patch)]
    tried = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr
