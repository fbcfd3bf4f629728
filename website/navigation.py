"""Where each page stands: README.md lists them under "More", and the site's navigation is that list."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

LIST = "## More"
REST = "Operate"
"""The heading under which pages come that README.md links to in its text alone."""

HEADING = re.compile(r"\*\*(.+)\*\*")
LINK = re.compile(r"\]\(([^)#\s]+)[^)\s]*\)")


class NavigationError(Exception):
    """Some pages have no place in the navigation, or more than one. Link each of them in README.md, once in the list
    under "More": the site's navigation is made from it."""


class Section(NamedTuple):
    """A heading of the navigation, and the pages under it: paths from the project's root, in the list's order."""

    heading: str
    pages: tuple[str, ...]


def sections_of(project: Path) -> list[Section]:
    """The sections of README.md. Raises NavigationError, which names what is at fault."""
    text, _, more = (project / "README.md").read_text(encoding="utf-8").partition(f"\n{LIST}\n")
    sections = list(_sections(more.splitlines()))
    listed = {page for section in sections for page in section.pages}
    rest = tuple(dict.fromkeys(link for link in LINK.findall(text) if is_listed(link) and link not in listed))
    sections = [Section(one.heading, one.pages + rest if one.heading == REST else one.pages) for one in sections]
    _check([page for section in sections for page in section.pages], set(pages_of(project)))
    return sections


def _sections(lines: Iterable[str]) -> Iterator[Section]:
    heading, pages = "", list[str]()
    for line in lines:
        if found := HEADING.fullmatch(line):
            if pages:
                yield Section(heading, tuple(pages))
            heading, pages = found[1], []
        elif heading:
            pages += [link for link in LINK.findall(line) if is_listed(link)]
    yield Section(heading, tuple(pages))


def is_listed(link: str) -> bool:
    """Whether the link leads to a page of the site, or to the folder of decisions."""
    return link.endswith(".md") or link == "docs/decisions"


def pages_of(project: Path) -> Iterator[str]:
    """What must be listed. The decisions stand together."""
    yield "CHANGELOG.md"
    yield "docs/decisions"
    for page in sorted((project / "docs").rglob("*.md")):
        if page.parent.name != "decisions":
            yield page.relative_to(project).as_posix()


def _check(listed: list[str], there: set[str]) -> None:
    faults = [f"{page} is not listed" for page in sorted(there - set(listed))]
    faults += [f"{page} is listed and not there" for page in sorted(set(listed) - there)]
    faults += [f"{page} is listed {listed.count(page)} times" for page in sorted(set(listed)) if listed.count(page) > 1]
    if faults:
        raise NavigationError(f"{' '.join((NavigationError.__doc__ or '').split())} {'; '.join(faults)}.")
