"""Every page of the project: all Markdown that a reader may open, wherever it lies."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.markdown import Block, read_blocks

PROJECT = Path(__file__).resolve().parents[2]

MADE = frozenset({"site", "build", "dist", "data", "node_modules"})
"""Folders of the project that commands make. Hidden ones are not looked into either."""

HOSTS = {
    "127.0.0.1:8000": "where the service answers on the reader's machine",
    "github.com": "OWASP's ASVS; the theme, in the site's foot",
    "html.spec.whatwg.org": "the format of event streams",
    "opentelemetry.io": "the variables that every exporter knows",
    "owasp.org": "the API Security Top 10",
    "pypi.org": "the library that checks a webhook's signature",
    "semver.org": "what a version promises",
    "www.standardwebhooks.com": "the format of webhooks",
    "www.w3.org": "the format of a trace's context",
}
"""Where links may lead, each for its reason."""

_INLINE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


def every_page(project: Path = PROJECT) -> list[str]:
    """Paths from the project's root, sorted."""
    return sorted(_pages(project, project))


def _pages(folder: Path, project: Path) -> Iterator[str]:
    for path in folder.iterdir():
        if path.name.startswith(".") or (folder == project and path.name in MADE):
            continue
        if path.is_dir():
            yield from _pages(path, project)
        elif path.suffix == ".md":
            yield path.relative_to(project).as_posix()


PAGES = every_page()


def named(page: str) -> str:
    """A decision by its number: its whole name may hold the name of a service that a test does not touch."""
    name = page.rpartition("/")[2].removesuffix(".md")
    return name[:4] if name[0] == "0" else page.removesuffix(".md").removeprefix("docs/")


EACH_PAGE = pytest.mark.parametrize("page", [pytest.param(page, id=named(page)) for page in PAGES])


def text_of(page: str) -> str:
    return (PROJECT / page).read_text(encoding="utf-8")


def blocks_of(page: str) -> list[Block]:
    return read_blocks(text_of(page).splitlines(), page)


def prose_of(page: str) -> str:
    """The page without what stands in fences."""
    return re.sub(r"^ *```.*?^ *```", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def inline_code_of(page: str) -> list[str]:
    """What stands between backticks in the page's prose, on one line each."""
    return [" ".join(code.split()) for _, code in _INLINE.findall(prose_of(page))]
