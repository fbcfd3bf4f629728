"""The pages hold together: links lead somewhere, commands are run, diagrams can be drawn."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.markdown import Block, read_blocks
from tests.support.transcripts import is_left_out

PROJECT = Path(__file__).resolve().parents[3]
PAGES = sorted([PROJECT / "README.md", PROJECT / "CHANGELOG.md", *(PROJECT / "docs").rglob("*.md")])
NAMED = [
    pytest.param(page.relative_to(PROJECT).as_posix(), id=page.name[:4] if page.name[0] == "0" else page.stem)
    for page in PAGES
]
"""By number or name: the whole name of a decision may hold the name of a service that these tests do not touch."""

RUN_BY = {
    "README.md": "tests/flows/test_docs_readme.py",
    "docs/api.md": "tests/flows/test_docs_api.py",
    "docs/cli.md": "tests/flows/test_docs_cli.py",
    "docs/operating.md": "tests/flows/test_docs_operating.py",
    "docs/quickstart.md": "tests/flows/test_docs_how_to.py",
    "docs/how-to/follow-a-job.md": "tests/flows/test_docs_how_to.py",
    "docs/how-to/get-called-back.md": "tests/flows/test_docs_how_to.py",
    "docs/how-to/keep-a-long-job-going.md": "tests/flows/test_docs_how_to.py",
    "docs/how-to/take-the-reviews.md": "tests/flows/test_docs_how_to.py",
    "docs/how-to/work-off-dead-letters.md": "tests/flows/test_docs_how_to.py",
}
"""Pages with commands, and the test that runs every one that is not marked."""

LANGUAGES = {"console", "sh", "json", "mermaid", "python", "yaml"}

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
DIAGRAM = re.compile(r"(flowchart (TD|LR)|sequenceDiagram|stateDiagram-v2)")


def blocks_of(page: str) -> list[Block]:
    return read_blocks((PROJECT / page).read_text().splitlines(), page)


def prose_of(page: str) -> str:
    """The page without what stands in fences."""
    return re.sub(r"^```.*?^```", "", (PROJECT / page).read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", NAMED)
def test_every_link_between_pages_leads_to_a_file_and_a_heading(page: str) -> None:
    links = [link for link in LINK.findall(prose_of(page)) if not link.startswith(("http://", "https://"))]
    assert [link for link in links if not leads_somewhere(PROJECT / page, link)] == []


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in set(anchors(target)))


def anchors(page: Path) -> Iterator[str]:
    for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_the_readme_leads_to_every_page() -> None:
    linked = {(PROJECT / link).resolve() for link in LINK.findall(prose_of("README.md"))}
    assert [page.name for page in PAGES if page.parent.name == "docs" and page not in linked] == []


@pytest.mark.parametrize("page", NAMED)
def test_every_block_of_commands_is_run_by_a_test_or_says_why_not(page: str) -> None:
    commands = [block for block in blocks_of(page) if block.language in ("console", "sh") and not is_left_out(block)]
    assert not commands or page in RUN_BY


@pytest.mark.parametrize(("page", "test"), RUN_BY.items())
def test_the_test_that_runs_a_page_reads_it(page: str, test: str) -> None:
    assert f'"{page}"' in (PROJECT / test).read_text()


@pytest.mark.parametrize("page", NAMED)
def test_every_fence_names_a_language_that_is_known(page: str) -> None:
    """A fence without one would pass for prose, and nobody would run its commands."""
    assert {block.language for block in blocks_of(page)} <= LANGUAGES


@pytest.mark.parametrize("page", NAMED)
def test_every_diagram_is_one_that_can_be_drawn(page: str) -> None:
    for block in blocks_of(page):
        if block.language == "mermaid":
            assert DIAGRAM.fullmatch(block.lines[0].strip())
            assert_balanced("\n".join(block.lines))


def assert_balanced(diagram: str) -> None:
    """Brackets and quotes in pairs, and an `end` for each block that needs one."""
    text = re.sub(r'"[^"]*"', "", diagram)
    assert '"' not in text
    for opening, closing in ("()", "[]"):
        assert text.count(opening) == text.count(closing)
    assert len(re.findall(r"^\s*(subgraph|loop)\b", text, re.M)) == len(re.findall(r"^\s*end$", text, re.M))


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
