"""For people who do not see the page, do not use a mouse, or have a small screen."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import World
from tests.browser.steps import TOKEN, expect_state, submit
from tests.browser.window import Window, window
from tests.support.simulator import control

PAGES = (
    "/console/",
    "/console/jobs",
    "/console/jobs?status=failed",
    "/console/jobs/new",
    "/console/jobs/{job}",
    "/console/jobs/{job}/accounts",
    "/console/jobs/{job}/locations",
    "/console/jobs/{job}/reviews",
    "/console/jobs/{job}/review?location=locations/1&review_id=0",
    "/console/jobs/{job}/webhooks",
    "/console/jobs/{running}",
    "/console/dead-letters/1",
    "/console/dead-letters",
    "/console/quota",
    "/console/audit",
    "/console/settings",
    "/console/sign-in",
    "/console/jobs/no-such-job",
)
SCHEMES = ("light", "dark")


@pytest.fixture(params=SCHEMES)
def looked_through(request: pytest.FixtureRequest, browser: Browser, world: World) -> Iterator[Window]:
    """A window in one of the colour schemes, into which axe is let in past the policy."""
    with window(browser, world.service.url, color_scheme=request.param, bypass_csp=True) as opened:
        yield opened


@pytest.fixture
def letters_and_a_running_job(console: Window, world: World) -> str:
    """So that no page is empty: dead letters, and a job in the middle; its id."""
    place = control(world.google, "GET", f"truth?token={TOKEN}")["locations"][0]["name"]
    control(world.google, "POST", "faults", [{"fault": "failure", "status": 503, "path": place}])
    submit(console)
    expect_state(console, "dlq")
    control(world.google, "POST", "faults", [{"fault": "hold", "api": "reviews"}])
    running = submit(console)
    expect_state(console, "processing")
    return running


def _violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [
        f"{page.url}: {one['id']} ({one['impact']}): {[node['html'][:120] for node in one['nodes']][:3]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def test_axe_finds_nothing_serious_on_any_page(
    letters_and_a_running_job: str, looked_through: Window, world: World
) -> None:
    looked_through.expect_complaint("status of 404")
    found = []
    for path in PAGES:
        looked_through.go(path.format(job=world.hostile_job, running=letters_and_a_running_job))
        looked_through.page.wait_for_load_state("load")
        found += _violations(looked_through.page)
    assert found == []


@pytest.mark.parametrize("width", [360])
def test_no_page_is_wider_than_a_phone(
    letters_and_a_running_job: str, browser: Browser, world: World, width: int
) -> None:
    with window(browser, world.service.url, viewport={"width": width, "height": 740}) as phone:
        phone.expect_complaint("status of 404")
        for path in PAGES:
            phone.go(path.format(job=world.hostile_job, running=letters_and_a_running_job))
            assert phone.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def _tab_to(page: Page, words: str) -> None:
    """Press Tab until the focus is on what bears these words."""
    for _ in range(60):
        page.keyboard.press("Tab")
        told = page.evaluate(
            "(() => { const a = document.activeElement;"
            " return a.labels?.[0]?.textContent || a.ariaLabel || a.textContent || a.value; })()"
        )
        if words in (told or ""):
            visible = page.evaluate("getComputedStyle(document.activeElement).outlineStyle !== 'none'")
            assert visible, f"the focus on {words} cannot be seen"
            return
    raise AssertionError(f"Tab never came to {words}")


def test_the_main_flow_goes_by_the_keyboard_alone(console: Window) -> None:
    page = console.page
    console.go("/console/")
    _tab_to(page, "Skip to the content")
    page.keyboard.press("Enter")
    _tab_to(page, "New job")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/new")
    _tab_to(page, "Google access token")
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    expect_state(console, "completed")
    expect(page.locator("#accounts details")).to_have_count(2)
    page.locator("h1").click()
    _tab_to(page, "accounts/")
    page.keyboard.press("Enter")
    expect(page.locator("#accounts .branch tbody tr").first).to_be_visible()
    page.reload()
    _tab_to(page, "Reviews")
    page.keyboard.press("Enter")
    page.wait_for_url("**/reviews")
    _tab_to(page, "Show more reviews")
    page.keyboard.press("Enter")
    expect(page.locator("li.review")).to_have_count(50)
    focused = "[...document.querySelectorAll('li.review')].findIndex(one => one.contains(document.activeElement))"
    page.wait_for_function(f"{focused} === 25")


def test_the_focus_stays_where_it_is_while_the_overview_goes_on(console: Window) -> None:
    page = console.page
    console.go("/console/")
    page.locator("#hour-table-summary").click()
    page.locator("#jobs-completed").focus()
    told = page.locator("#overview time").first.text_content() or ""
    expect(page.locator("#overview time").first).not_to_have_text(told, timeout=15_000)
    expect(page.locator("#jobs-completed")).to_be_focused()
    expect(page.locator("#hour-table")).to_have_attribute("open", "")


def test_the_colours_follow_the_system_until_somebody_chooses(browser: Browser, world: World) -> None:
    with window(browser, world.service.url, color_scheme="dark") as opened:
        page = opened.page
        colour = "getComputedStyle(document.body).backgroundColor"
        opened.go("/console/jobs")
        dark = page.evaluate(colour)
        page.get_by_role("button", name="Change to light colours").click()
        light = page.evaluate(colour)
        assert light != dark
        opened.go("/console/dead-letters")
        assert page.evaluate(colour) == light
