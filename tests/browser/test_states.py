"""What pages show when there is nothing, very much, or something wrong; and without a script."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import World
from tests.browser.planting import large_job, plant
from tests.browser.steps import TOKEN
from tests.browser.window import Window, window
from tests.support.api import SEALING_KEYS
from tests.support.service import Site, site
from tests.support.simulator import control


@pytest.fixture
def empty_site(tmp_path_factory: pytest.TempPathFactory, world: World) -> Iterator[Site]:
    """A service with nothing in it, to be started."""
    with site(tmp_path_factory.mktemp("empty"), world.google) as place:
        yield place


def test_where_nothing_is_yet_each_page_says_what_will_be_there_and_how_to_begin(
    browser: Browser, empty_site: Site
) -> None:
    with window(browser, empty_site.start().url) as opened:
        page = opened.page
        opened.go("/console/jobs")
        expect(page.get_by_role("heading", name="No jobs yet")).to_be_visible()
        expect(page.get_by_role("link", name="New job")).to_have_count(2)
        opened.go("/console/dead-letters")
        expect(page.get_by_role("heading", name="No dead letters")).to_be_visible()
        opened.go("/console/quota")
        expect(page.get_by_role("heading", name="No quota is in use")).to_be_visible()
        opened.go("/console/")
        expect(page.get_by_text("nothing waits")).to_be_visible()


def test_a_hundred_thousand_rows_come_page_by_page(browser: Browser, empty_site: Site) -> None:
    job_id = plant(empty_site.database, large_job)
    with window(browser, empty_site.start(WORKER_CONCURRENCY="1", TOKEN_SEALING_KEYS=SEALING_KEYS).url) as opened:
        page = opened.page
        opened.go(f"/console/jobs/{job_id}/locations")
        expect(page.locator("#rows tr:not(.more)")).to_have_count(100)
        assert len(page.content()) < 200_000
        for count in (200, 300):
            page.get_by_role("link", name="Show more locations").click()
            expect(page.locator("#rows tr:not(.more)")).to_have_count(count)
        expect(page.locator("#rows tr").nth(299)).to_contain_text("locations/000299")
        opened.go("/console/jobs")
        expect(page.locator("#rows tr:not(.more)")).to_have_count(50)
        page.get_by_role("link", name="Show older jobs").click()
        expect(page.locator("#rows tr:not(.more)")).to_have_count(100)


def test_an_unknown_job_and_an_unknown_page_are_told(console: Window) -> None:
    console.expect_complaint("status of 404")
    console.go("/console/jobs/no-such-job")
    expect(console.page.get_by_role("heading", name="No such job")).to_be_visible()
    console.go("/console/no/such/page")
    expect(console.page.get_by_role("heading", name="Nothing here")).to_be_visible()


def test_an_action_that_came_too_late_is_told(browser: Browser, world: World) -> None:
    """On a page that does not go on by itself."""
    control(world.google, "POST", "faults", [{"fault": "hold", "api": "reviews"}])
    job_id = world.service.submit(TOKEN)
    with window(browser, world.service.url, java_script_enabled=False) as opened:
        opened.expect_complaint("status of 409")
        opened.go(f"/console/jobs/{job_id}")
        control(world.google, "DELETE", "faults")
        control(world.google, "POST", "release")
        world.service.job_ended(job_id)
        opened.page.get_by_role("button", name="Pause").click()
        expect(opened.page.get_by_text("does not allow the action pause")).to_be_visible()
        opened.page.get_by_role("link", name="Back to the job").click()
        expect(opened.page.locator("#live .headline")).to_have_text("completed")


def test_a_service_that_is_away_is_told_while_what_was_there_stays(browser: Browser, empty_site: Site) -> None:
    service = empty_site.start()
    with window(browser, service.url) as opened:
        opened.expect_complaint("ERR_|htmx")
        opened.go("/console/")
        service.kill()
        expect(opened.page.locator("#away")).to_be_visible(timeout=20_000)
        expect(opened.page.locator("#overview")).to_be_visible()


def test_a_page_goes_on_by_itself_when_the_service_answers_again(console: Window) -> None:
    console.expect_complaint("ERR_|htmx")
    page = console.page
    console.go("/console/")
    page.route("**/console/", lambda route: route.abort())
    expect(page.locator("#away")).to_be_visible(timeout=20_000)
    page.unroute("**/console/")
    expect(page.locator("#away")).to_be_hidden(timeout=20_000)


def test_everything_but_what_is_live_works_without_a_script(browser: Browser, world: World) -> None:
    with window(browser, world.service.url, java_script_enabled=False) as opened:
        page = opened.page
        opened.go("/console/jobs/new")
        page.get_by_label("Google access token").fill(TOKEN)
        page.get_by_role("button", name="Fetch the reviews").click()
        world.service.job_ended(page.url.rpartition("/")[2])
        page.reload()
        expect(page.locator("#live .headline")).to_have_text("completed")
        page.get_by_role("link", name="Accounts and locations").click()
        expect(page.locator("#accounts details")).to_have_count(2)
        opened.go("/console/jobs")
        page.locator("#rows a").first.click()
        page.get_by_role("navigation", name="Job").get_by_role("link", name="Reviews").click()
        page.get_by_role("link", name="Show more reviews").click()
        expect(page.locator("li.review")).to_have_count(25)


def test_settings_are_shown_without_their_secrets(console: Window) -> None:
    console.go("/console/settings")
    row = console.page.locator("tr", has=console.page.get_by_text("GOOGLE_API_BASE_URL", exact=True))
    expect(row).to_contain_text("http://127.0.0.1")
    expect(console.page.locator("tr", has_text="TOKEN_SEALING_KEYS")).to_contain_text("not set")
