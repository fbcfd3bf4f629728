"""The documentation site in a browser, opened from its folder: no server, no network."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.browser.window import Window, window

READ = ("index.html", "states.html", "reference/http/jobs.html")
SCHEMES = ("light", "dark")

pytestmark = pytest.mark.timeout(240)  # the first of them builds the site


@pytest.fixture
def reader(browser: Browser, documentation_site: Path) -> Iterator[Window]:
    with window(browser, documentation_site.as_uri()) as opened:
        yield opened


def test_a_reader_comes_from_the_first_page_to_any_other(reader: Window) -> None:
    reader.go("/index.html")
    navigation = reader.page.locator(".sidebar-tree")
    navigation.get_by_role("link", name="States of a job").click()
    expect(reader.page.get_by_role("heading", level=1)).to_contain_text("States of a job")
    reader.page.locator(".sidebar-tree").get_by_role("link", name="HTTP reference").click()
    reader.page.locator("article").get_by_role("link", name="POST /api/v1/review-fetch", exact=True).click()
    expect(reader.page.get_by_role("heading", name="POST /api/v1/review-fetch", exact=False).first).to_be_in_viewport()


def test_the_search_finds_a_word_of_any_page_without_a_server(reader: Window) -> None:
    reader.go("/index.html")
    reader.page.get_by_role("textbox", name="Search").fill("tombstones")
    reader.page.keyboard.press("Enter")
    found = reader.page.locator("#search-results .search li a")
    expect(found.filter(has_text="Messages on Kafka").first).to_be_visible()
    found.filter(has_text="Messages on Kafka").first.click()
    expect(reader.page.get_by_role("heading", name="Messages on Kafka")).to_be_visible()


def test_the_colours_change_and_the_diagrams_with_them(reader: Window) -> None:
    page = reader.page
    reader.go("/states.html")
    light, dark = page.locator("figure .only-light img"), page.locator("figure .only-dark img")
    expect(light).to_be_visible()
    expect(dark).to_be_hidden()
    assert light.evaluate("image => image.naturalWidth") > 0
    toggle = page.locator(".theme-toggle-content .theme-toggle")
    for _ in SCHEMES:  # from the system's choice over one to the other
        if not dark.is_visible():
            toggle.click()
    expect(dark).to_be_visible()
    expect(light).to_be_hidden()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing_serious(browser: Browser, documentation_site: Path, scheme: str) -> None:
    found = []
    with window(browser, documentation_site.as_uri(), color_scheme=scheme) as opened:
        for path in READ:
            opened.go(f"/{path}")
            violations = Axe().run(opened.page, options={"preload": False}).response["violations"]
            found += [
                (path, one["id"], [node["html"][:90] for node in one["nodes"]][:3])
                for one in violations
                if one["impact"] in ("serious", "critical")
            ]
    assert found == []


def test_no_page_is_wider_than_a_phone(browser: Browser, documentation_site: Path) -> None:
    with window(browser, documentation_site.as_uri(), viewport={"width": 360, "height": 740}) as phone:
        for path in READ:
            phone.go(f"/{path}")
            assert phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
