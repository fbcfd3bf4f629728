"""The mutations of the chaos run say what must turn red, and how to run it."""

from pathlib import Path

import pytest

from chaos.__main__ import parser, plan_of
from chaos.mutations import PATCHES
from tests.mutations.patch import parse_header, read

ROWS = ("data lost", "data doubled", "jobs stuck", "calls wasted", "work without a broker")


@pytest.mark.parametrize("patch", sorted(PATCHES.glob("*.patch")), ids=lambda patch: patch.stem)
def test_a_mutation_names_a_row_and_arguments_of_a_run(patch: Path) -> None:
    assert plan_of(parser().parse_args(read(patch).tests)).least > 0
    assert parse_header(patch.read_text().partition("diff --git ")[0])["Red"] in ROWS


def test_each_guard_has_its_mutation() -> None:
    assert {patch.stem.removesuffix("-taken-out") for patch in PATCHES.glob("*.patch")} == {
        "version-check",
        "claim",
        "watermark",
        "position-stamping",
        "spare-copy",
    }
