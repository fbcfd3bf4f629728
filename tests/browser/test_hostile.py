"""Texts of reviews are shown as texts: nothing of them runs, loads, or becomes a part of the page."""

import json
from urllib.parse import quote

import pytest

from tests.browser.conftest import World
from tests.browser.planting import HOSTILE, LONG_WORD
from tests.browser.window import Window

FOREIGN = "main script, main img, main iframe, main base, main style, main [onerror], main [onload], main b[hx-get]"


@pytest.mark.parametrize("path", ["", "/accounts", "/locations", "/reviews"])
def test_no_page_of_a_job_makes_anything_of_its_texts(console: Window, world: World, path: str) -> None:
    console.go(f"/console/jobs/{world.hostile_job}{path}")
    console.page.wait_for_load_state("networkidle")
    assert console.page.locator(FOREIGN).count() == 0
    assert console.page.locator("a[href^='javascript:'], a[href*='elsewhere']").count() == 0


def test_each_review_reads_as_it_was_written(console: Window, world: World) -> None:
    console.go(f"/console/jobs/{world.hostile_job}/reviews")
    for number, text in enumerate(HOSTILE[:-1]):
        item = console.page.locator("li.review").nth(number)
        assert item.locator(".words bdi").first.text_content() == text
        assert item.locator(".who").text_content() == text
        assert item.locator(".reply bdi").text_content() == text


def test_text_that_turns_around_stays_within_itself(console: Window, world: World) -> None:
    console.go(f"/console/jobs/{world.hostile_job}/reviews")
    turned = console.page.locator("li.review bdi", has_text="gnp.exe").first
    assert turned.evaluate("part => getComputedStyle(part).unicodeBidi") == "isolate"


@pytest.mark.parametrize("width", [1280, 360])
def test_a_word_of_a_hundred_thousand_letters_is_cut_in_the_list_whole_on_its_page_and_never_widens_it(
    console: Window, world: World, width: int
) -> None:
    page = console.page
    page.set_viewport_size({"width": width, "height": 800})
    console.go(f"/console/jobs/{world.hostile_job}/reviews")
    long = page.locator("li.review").nth(len(HOSTILE) - 1)
    assert len(long.locator(".words bdi").first.text_content() or "") < 1_000
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    long.get_by_role("link").click()
    page.wait_for_url("**/review?*")
    assert page.locator("article .words bdi").first.text_content() == LONG_WORD
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_what_google_sent_is_json_in_which_nothing_hides(console: Window, world: World) -> None:
    console.go(f"/console/jobs/{world.hostile_job}/review?location={quote('locations/1')}&review_id=0")
    shown = console.page.locator("pre.raw").text_content() or ""
    assert "\\u202e" in shown
    assert "\u202e" not in shown
    sent = json.loads(shown)
    assert sent["comment"] == "<script>alert(1)</script> \u202e \ud83d"
    assert sent["unknown"] == {"a": [1]}
