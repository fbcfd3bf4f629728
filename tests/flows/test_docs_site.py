"""The documentation site: complete, whole in itself, and never built from pages that are wrong."""

import json
import re
from pathlib import Path

import pytest

from app.api.application import create_api
from app.models.events import Topic
from tests.support.pages import HOSTS, PROJECT
from tests.support.website import Page, build, pages_of

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def pages(documentation_site: Path) -> dict[Path, Page]:
    return {page.path.resolve(): page for page in pages_of(documentation_site)}


def test_every_page_of_the_project_is_in_the_site(documentation_site: Path, pages: dict[Path, Page]) -> None:
    expected = [path.relative_to(PROJECT / "docs").with_suffix(".html") for path in (PROJECT / "docs").rglob("*.md")]
    assert len(expected) > 50
    assert [page for page in expected if (documentation_site / page).resolve() not in pages] == []


def test_every_link_within_the_site_leads_to_a_page_and_a_place_on_it(pages: dict[Path, Page]) -> None:
    lost = []
    for address in (address for page in pages.values() for address in page.addresses if not address.host):
        path, anchor = address.target()
        if not path.is_file() or (anchor and path in pages and anchor not in pages[path].anchors):
            lost.append(f"{address.page.name}: {address.address}")
    assert lost == []


def test_nothing_is_loaded_from_another_host(documentation_site: Path, pages: dict[Path, Page]) -> None:
    assert [address for page in pages.values() for address in page.addresses if address.loads and address.host] == []
    styles = "".join(path.read_text(encoding="utf-8") for path in documentation_site.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)\s]+", styles) == []


def test_links_lead_only_to_hosts_that_are_known(pages: dict[Path, Page]) -> None:
    assert {address.host for page in pages.values() for address in page.addresses if address.host} <= HOSTS.keys()


def test_the_reference_has_every_operation_and_the_document_itself(documentation_site: Path) -> None:
    folder = documentation_site / "reference/http"
    text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.html"))
    document = create_api(version="1").openapi()
    operations = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(operations) > 30
    assert [name for name in operations if f">{name}</span>" not in text] == []
    assert [name for name in document["components"]["schemas"] if f'<section id="{name.lower()}">' not in text] == []
    served = next((documentation_site / "_downloads").rglob("openapi.json"))
    assert json.loads(served.read_text())["paths"] == document["paths"]


def test_the_reference_has_every_topic(documentation_site: Path) -> None:
    text = (documentation_site / "reference/messages.html").read_text(encoding="utf-8")
    assert [topic for topic in Topic if f'<section id="{topic}">' not in text] == []


@pytest.fixture
def small_project(tmp_path: Path) -> Path:
    """The least that has a site."""
    (tmp_path / "docs/decisions").mkdir(parents=True)
    (tmp_path / "docs/schemas").mkdir()
    (tmp_path / "pyproject.toml").write_text('version = "1"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n")
    (tmp_path / "docs/decisions/0001-so.md").write_text("# 0001: So\n")
    for page in ("api.md", "events.md"):
        (tmp_path / "docs" / page).write_text("# A page\n\n## Errors\n\n")
    (tmp_path / "README.md").write_text(
        "# Small\n\n## More\n\n**All**\n\n- [a](docs/api.md)\n- [b](docs/events.md)\n- [c](docs/decisions)\n"
        "- [d](CHANGELOG.md)\n- [e](docs/wrong.md)\n"
    )
    return tmp_path


def test_a_page_that_is_wrong_ends_the_build_with_each_fault_named(small_project: Path, tmp_path: Path) -> None:
    (small_project / "docs/wrong.md").write_text(
        "# Wrong\n\n[no anchor](api.md#nowhere)\n\n[no page](gone.md)\n\n```mermaid\nflowchart LR\n  a[ --> b\n```\n"
    )
    built = build(tmp_path / "site", small_project)
    assert built.returncode != 0
    for fault in ("nowhere", "gone.md", "the diagram cannot be drawn: .*missing `]`"):
        assert re.search(rf"wrong\.md(:\d+)?: WARNING: .*{fault}", built.stderr), built.stderr


def test_a_page_without_a_place_ends_the_build(small_project: Path, tmp_path: Path) -> None:
    built = build(tmp_path / "site", small_project)
    assert built.returncode == 1
    assert "docs/wrong.md is listed and not there" in built.stderr
    assert not (tmp_path / "site").exists()
