"""docs/security-checks.md: each row names a test that is there, and no item of the Top 10 is left out."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
PAGE = (PROJECT / "docs/security-checks.md").read_text()

ROWS = [line.strip("| ").split(" | ") for line in PAGE.splitlines() if re.match(r"\| (API)?\d", line)]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].split()[0])
def test_a_check_names_a_test_that_exists(row: list[str]) -> None:
    assert len(row) == 3
    named = TEST.fullmatch(row[2])
    assert named, row[2]
    path, name = named.groups()
    assert f"def {name}(" in (PROJECT / path).read_text()


def test_every_item_of_the_top_ten_is_there() -> None:
    assert {row[0].split()[0] for row in ROWS} >= {f"API{number}" for number in range(1, 11)}
