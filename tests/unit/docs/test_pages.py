"""The pages are made as pages are: fences in known languages, decisions in their three parts."""

import re

from tests.support.pages import EACH_PAGE, PROJECT, blocks_of

LANGUAGES = {"console", "sh", "json", "yaml", "mermaid", "python"}


@EACH_PAGE
def test_every_fence_names_a_language_that_is_known(page: str) -> None:
    """A fence without one would pass for prose, and nobody would run its commands."""
    assert {block.language for block in blocks_of(page)} <= LANGUAGES


PARTS = ["Context", "Decision", "Consequences"]


def test_decisions_are_numbered_once_and_have_their_three_parts() -> None:
    pages = sorted((PROJECT / "docs/decisions").glob("*.md"))
    numbers = [page.name[:4] for page in pages]
    assert len(set(numbers)) == len(numbers)
    for page in pages:
        text = page.read_text()
        assert text.startswith(f"# {page.name[:4]}: ")
        headings = re.findall(r"^## (.+)", text, re.MULTILINE)
        assert [one for one in headings if one in PARTS] == PARTS
        assert len(text.splitlines()) <= 60
