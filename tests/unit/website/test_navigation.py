"""The navigation of the site is README.md's list of pages, and every page is in it."""

from pathlib import Path

import pytest

from tests.support.pages import PROJECT
from website.navigation import NavigationError, Section, sections_of

README = """# So

See [the cluster](docs/cluster.md).

## More

**Begin**

- [docs/start.md](docs/start.md): how to begin, or by [steps](docs/how-to/steps.md#first)

**Operate**

- [docs/running.md](docs/running.md), with [a file](docs/asyncapi.json)
- [why](docs/decisions)
- [CHANGELOG.md](CHANGELOG.md)

The last words link to [a place elsewhere](https://example.com/x.html).
"""
PAGES = ("docs/start.md", "docs/running.md", "docs/cluster.md", "docs/how-to/steps.md", "docs/decisions/0001-so.md")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for page in PAGES:
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / page).write_text("# A page\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n")
    (tmp_path / "README.md").write_text(README)
    return tmp_path


def test_pages_stand_under_the_headings_of_the_list_in_its_order(project: Path) -> None:
    begin, operate = sections_of(project)
    assert begin == Section("Begin", ("docs/start.md", "docs/how-to/steps.md"))
    assert operate.pages[:3] == ("docs/running.md", "docs/decisions", "CHANGELOG.md")


def test_a_page_that_only_the_text_links_to_is_for_who_operates(project: Path) -> None:
    assert sections_of(project)[-1].pages[-1] == "docs/cluster.md"


def test_a_page_that_nothing_links_to_is_named(project: Path) -> None:
    (project / "docs/forgotten.md").write_text("# Forgotten\n")
    with pytest.raises(NavigationError, match=r'once in the list under "More".*docs/forgotten\.md is not listed\.$'):
        sections_of(project)


def test_a_page_that_was_taken_away_is_named(project: Path) -> None:
    (project / "docs/running.md").unlink()
    with pytest.raises(NavigationError, match=r"docs/running\.md is listed and not there"):
        sections_of(project)


def test_a_page_has_one_place(project: Path) -> None:
    (project / "README.md").write_text(README.replace("[why]", "[again](docs/start.md), [why]"))
    with pytest.raises(NavigationError, match=r"docs/start\.md is listed 2 times"):
        sections_of(project)


def test_every_page_of_this_project_has_a_place() -> None:
    headings = [section.heading for section in sections_of(PROJECT)]
    assert headings == ["Begin", "How to", "Operate", "Look up", "Understand"]
