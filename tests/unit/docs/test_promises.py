"""docs/promises.md: the tests that it names are there, and so are the mutations."""

import re
from pathlib import Path

import pytest

from tests.mutations.patch import read

PROJECT = Path(__file__).resolve().parents[3]
PAGE = PROJECT / "docs/promises.md"

SECTIONS = re.findall(r"^## (\d)\. (.+)\n((?:(?!^## ).*\n)+)", PAGE.read_text(), re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_there_are_eight_promises_as_in_the_readme() -> None:
    told = re.findall(r"^\d\. \*\*(.+?)\.?\*\*", (PROJECT / "README.md").read_text(), re.MULTILINE)
    assert [title for _, title, _ in SECTIONS] == told
    assert [number for number, _, _ in SECTIONS] == list("12345678")


@pytest.mark.parametrize(("number", "text"), [(number, text) for number, _, text in SECTIONS])
def test_a_promise_names_tests_that_exist(number: str, text: str) -> None:
    named = TEST.findall(text)
    assert named
    assert [name for path, name in named if f"def {name}(" not in (PROJECT / path).read_text()] == []


def test_every_mutation_stands_under_the_promises_that_it_breaks() -> None:
    told = {(number, name) for number, _, text in SECTIONS for name in re.findall(r"`([\w-]+)\.patch`", text)}
    broken = {
        (number, mutation.name)
        for mutation in map(read, (PROJECT / "tests/mutations").rglob("*.patch"))
        for number in re.findall(r"\d", mutation.promise.partition(",")[0])
    }
    assert told == broken
