"""The copies of the pages that Sphinx reads: with links for their places in the site, and with its navigation."""

import json
import re
import shutil
from pathlib import Path

from app.api.application import create_api
from website.links import Places, placed
from website.messages import messages_page
from website.navigation import Section, pages_of, sections_of
from website.operations import operation_pages

DECISIONS = "docs/decisions"
MADE = {"Look up": ("reference/http/index", "reference/messages")}
"""Heading of the navigation → pages that are made from the code, and stand at its end."""


def write_copies(project: Path, copies: Path) -> None:
    """Everything that Sphinx reads. NavigationError when a page has no place."""
    sections = sections_of(project)
    places = _places(project, copies)
    for page, place in places.pages.items():
        if page != DECISIONS:
            _write(copies / place, placed((project / page).read_text(encoding="utf-8"), page, places))
    with (copies / "index.md").open("a", encoding="utf-8") as home:
        home.writelines(_contents(section, places) for section in sections)
    _write(copies / places.pages[DECISIONS], _decisions_page(project))
    _write_reference(project, copies / "reference")


def _places(project: Path, copies: Path) -> Places:
    pages = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", DECISIONS: "decisions/index.md"}
    every = {*pages_of(project), *(path.relative_to(project).as_posix() for path in (project / DECISIONS).glob("*.md"))}
    pages |= {page: page.removeprefix("docs/") for page in sorted(every - pages.keys())}
    titles = {page: title_of(project / page) for page in pages if page.endswith(".md")}

    def file(path: str) -> str | None:
        if (project / path).is_dir():
            return None
        copy = path.removeprefix("docs/") if path.startswith("docs/") else f"files/{path}"
        if (project / path).is_file():  # or else Sphinx warns of the link
            (copies / copy).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(project / path, copies / copy)
        return copy

    return Places(pages, titles, file)


def title_of(page: Path) -> str:
    """Its first heading."""
    found = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError(f"{page.name} has no title: begin it with a line like `# What it is about`")
    return found[1]


def _contents(section: Section, places: Places) -> str:
    documents = [places.pages[page].removesuffix(".md") for page in section.pages]
    return table_of_contents(
        [*documents, *MADE.get(section.heading, ())], f":caption: {section.heading}", ":hidden:", ":titlesonly:"
    )


def table_of_contents(documents: list[str], *options: str) -> str:
    """A list of pages, as MyST writes it."""
    return "\n".join(["", "```{toctree}", *options, "", *documents, "```", ""])


def _decisions_page(project: Path) -> str:
    names = [path.stem for path in sorted((project / DECISIONS).glob("*.md"))]
    return "# Decisions\n\nWhy it is as it is, one decision a page.\n" + table_of_contents(names, ":titlesonly:")


def _write_reference(project: Path, folder: Path) -> None:
    document = create_api(version=_version(project)).openapi()
    _write(folder / "http/openapi.json", json.dumps(document, indent=2) + "\n")
    pages = dict(operation_pages(document))
    for name, text in pages.items():
        _write(folder / f"http/{name}.md", text)
    schemas = {path.stem: json.loads(path.read_text()) for path in sorted((project / "docs/schemas").glob("*.json"))}
    _write(folder / "messages.md", messages_page(schemas))


def _version(project: Path) -> str:
    found = re.search(r'^version = "(.+)"$', (project / "pyproject.toml").read_text(), re.MULTILINE)
    return found[1] if found else ""


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
