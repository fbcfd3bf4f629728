"""A job from the form to its end, and what can be done to it on the way."""

import csv
import json
from pathlib import Path

from playwright.sync_api import Download, expect

from tests.browser.conftest import LOCATIONS, REVIEWS, World
from tests.browser.steps import PATIENCE_MS, TOKEN, expect_state, submit
from tests.browser.window import Window
from tests.support.service import JOBS, wait_for
from tests.support.simulator import control


def _downloaded(console: Window, name: str) -> Path:
    with console.page.expect_download() as begun:
        console.page.get_by_role("link", name=name, exact=True).click()
    download: Download = begun.value
    assert download.suggested_filename.startswith("reviews-")
    return download.path()


def _submit_one_that_ends_with_dead_letters(console: Window, world: World) -> None:
    """Two locations cannot be read until it is over."""
    places = control(world.google, "GET", f"truth?token={TOKEN}")["locations"][:2]
    faults = [{"fault": "failure", "status": 503, "path": place["name"]} for place in places]
    control(world.google, "POST", "faults", faults)
    submit(console)
    expect_state(console, "dlq")
    control(world.google, "DELETE", "faults")


def test_a_token_becomes_a_job_whose_page_tells_its_progress_and_whose_files_have_every_review(
    console: Window, world: World
) -> None:
    page = console.page
    console.go("/console")
    page.get_by_role("link", name="New job").first.click()
    page.get_by_label("Google access token").fill(TOKEN)
    page.get_by_role("button", name="Fetch the reviews").click()
    expect_state(console, "completed")
    expect(page.locator("#live")).to_contain_text(f"Completed: {REVIEWS} reviews of {LOCATIONS} locations")
    expect(page.get_by_role("progressbar", name="Reviews fetched")).to_have_attribute("value", str(REVIEWS))
    assert TOKEN not in page.content()

    job_id = page.url.rpartition("/")[2]
    page.get_by_role("navigation", name="Job").get_by_role("link", name="Reviews").click()
    lines = _downloaded(console, "NDJSON").read_text().splitlines()
    kept = sorted((line["location"], line["review_id"]) for line in map(json.loads, lines))
    assert kept == world.service.exported(job_id)
    assert len(kept) == REVIEWS
    with _downloaded(console, "CSV").open(newline="") as file:
        assert sorted((row["location"], row["review_id"]) for row in csv.DictReader(file)) == kept


def test_the_page_follows_a_job_by_its_events_and_tells_a_screen_reader_of_a_new_state(
    console: Window, world: World
) -> None:
    control(world.google, "POST", "faults", [{"fault": "hold", "api": "reviews", "after": 2}])
    job_id = submit(console)
    expect_state(console, "processing")
    expect(console.page.get_by_role("progressbar", name="Accounts listed")).to_have_attribute("value", "2")
    assert f"{world.service.url}/console/jobs/{job_id}/events" in console.requests
    control(world.google, "DELETE", "faults")
    control(world.google, "POST", "release")
    expect_state(console, "completed")
    expect(console.page.locator("#announcer")).to_contain_text("Completed")


def test_a_job_is_paused_resumed_and_cancelled_with_a_second_thought(console: Window, world: World) -> None:
    page = console.page
    control(world.google, "POST", "faults", [{"fault": "hold", "api": "reviews", "after": 3}])
    job_id = submit(console)
    page.get_by_role("button", name="Pause").click()
    expect_state(console, "paused")
    page.get_by_role("button", name="Resume").click()
    expect_state(console, "processing")
    page.get_by_text("Cancel…").click()
    expect(page.get_by_text("The job ends at once")).to_be_visible()
    page.get_by_role("button", name="Cancel the job").click()
    expect_state(console, "cancelled")
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    assert world.service.job(job_id)["status"] == "cancelled"


def test_an_expired_token_is_asked_for_and_a_new_one_completes_the_job(console: Window, world: World) -> None:
    page = console.page
    control(world.google, "POST", "faults", [{"fault": "expired_token", "api": "reviews", "after": 4}])
    submit(console)
    expect_state(console, "needs token")
    field = page.get_by_label("Google access token")
    expect(field).to_be_visible()
    assert (field.get_attribute("type"), field.get_attribute("autocomplete")) == ("password", "off")
    control(world.google, "DELETE", "faults")
    field.fill("ya29.a-new-token-for-the-job")
    page.get_by_role("button", name="Give the token").click()
    expect_state(console, "completed")
    expect(page.locator("#live")).to_contain_text(f"{REVIEWS} reviews")


def test_what_is_typed_stays_while_the_page_goes_on_around_it(console: Window, world: World) -> None:
    page = console.page
    control(world.google, "POST", "faults", [{"fault": "hold", "api": "reviews", "after": 1}])
    submit(console)
    expect_state(console, "processing")
    page.get_by_text("New token").click()
    page.get_by_label("Google access token").fill("ya29.half-a-tok")
    before = page.locator("#live").inner_text()
    control(world.google, "POST", "release", {"count": 3})
    expect(page.locator("#live")).not_to_have_text(before, timeout=20_000)
    expect(page.get_by_label("Google access token")).to_have_value("ya29.half-a-tok")
    expect(page.get_by_label("Google access token")).to_be_focused()


def test_what_is_typed_stays_when_the_state_is_another(console: Window, world: World) -> None:
    page = console.page
    control(world.google, "POST", "faults", [{"fault": "hold", "api": "reviews", "after": 1}])
    job_id = submit(console)
    expect_state(console, "processing")
    page.get_by_text("New token").click()
    field = page.get_by_label("Google access token")
    field.fill("ya29.half-a-tok")
    assert world.service.request("POST", f"{JOBS}/{job_id}/pause").status == 200
    expect(page.get_by_role("button", name="Resume")).to_be_visible(timeout=PATIENCE_MS)
    expect(field).to_have_value("ya29.half-a-tok")
    expect(field).to_be_focused()


def test_accounts_open_to_their_locations_and_stay_open_while_the_page_goes_on(console: Window, world: World) -> None:
    page = console.page
    control(world.google, "POST", "faults", [{"fault": "hold", "api": "reviews", "after": 1}])
    submit(console)
    expect(page.locator("#accounts details")).to_have_count(2)
    page.locator("#accounts summary").first.click()
    expect(page.locator("#accounts .branch tbody tr")).to_have_count(LOCATIONS // 2)
    control(world.google, "DELETE", "faults")
    control(world.google, "POST", "release")
    expect_state(console, "completed")
    expect(page.locator("#accounts .counts").first).to_contain_text("6 of 6 locations")
    expect(page.locator("#accounts details").first).to_have_attribute("open", "")
    expect(page.locator("#accounts .branch tbody tr")).to_have_count(LOCATIONS // 2)


def test_a_dead_letter_is_looked_at_redriven_and_its_job_completed(console: Window, world: World) -> None:
    page = console.page
    _submit_one_that_ends_with_dead_letters(console, world)
    page.get_by_role("navigation", name="Job").get_by_role("link", name="Dead letters").click()
    page.locator("#rows a").first.click()
    expect(page.get_by_role("heading", name="Last error")).to_be_visible()
    page.go_back()
    page.get_by_label("Tick all that are listed").check()
    page.get_by_role("button", name="Redrive the ticked ones…").click()
    expect(page.get_by_text("will be tried again")).to_be_visible()
    page.get_by_role("button", name="Redrive", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="dead letters are tried again")).to_be_visible()
    page.go_back()
    job_id = world.service.get("/api/v1/review-fetch", limit=1).json()["jobs"][0]["job_id"]
    console.go(f"/console/jobs/{job_id}")
    expect_state(console, "completed")


def test_a_redrive_of_everything_tells_first_and_takes_a_rate(console: Window, world: World) -> None:
    page = console.page
    _submit_one_that_ends_with_dead_letters(console, world)
    console.go("/console/dead-letters")
    page.get_by_role("button", name="Redrive all…").click()
    page.get_by_label("Letters a second").fill("100")
    page.get_by_role("button", name="Redrive", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="are tried again")).to_be_visible()
    console.go("/console/jobs")
    page.locator("#rows a").first.click()
    expect_state(console, "completed")


def test_a_filter_narrows_the_list_and_the_file_alike(console: Window, world: World) -> None:
    page = console.page
    job_id = world.service.submit(TOKEN)
    world.service.job_ended(job_id)
    console.go(f"/console/jobs/{job_id}/reviews")
    page.get_by_label("Stars", exact=True).select_option("1")
    page.get_by_label("Reply", exact=True).select_option("false")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("heading", name="Reviews that match")).to_be_visible()
    kept = [json.loads(line) for line in _downloaded(console, "NDJSON").read_text().splitlines()]
    assert 0 < len(kept) < REVIEWS
    assert {(line["rating"], line["reply"]) for line in kept} == {(1, None)}
    stars = page.locator("li.review .stars")
    assert {one.get_attribute("aria-label") for one in stars.all()} == {"1 of 5 stars"}
    console.expect_complaint("status of 422")
    page.get_by_label("Since", exact=True).fill("yesterday")
    page.get_by_role("button", name="Filter").click()
    expect(page.get_by_role("alert")).to_contain_text("a date or a time")
    console.go(f"/console/jobs/{job_id}/reviews?text=nothing-like-it")
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()


def test_a_refresh_token_fetches_without_an_access_token_and_an_incomplete_one_is_told(
    console: Window, world: World
) -> None:
    page = console.page
    console.expect_complaint("status of 422")
    console.go("/console/jobs/new")
    page.get_by_text("Refresh token, for jobs").click()
    page.get_by_label("Google refresh token").fill("1//a-refresh-token")
    page.get_by_role("button", name="Fetch the reviews").click()
    expect(page.get_by_role("alert")).to_contain_text("come together")
    assert "1//a-refresh-token" not in page.content()
    page.get_by_label("Google refresh token").fill("1//a-refresh-token")
    page.get_by_label("OAuth client id").fill("a-client.apps.googleusercontent.com")
    page.get_by_label("OAuth client secret").fill("GOCSPX-a-secret")
    page.get_by_role("button", name="Fetch the reviews").click()
    expect_state(console, "completed")
    expect(page.locator("#live")).to_contain_text(f"{REVIEWS} reviews")


def test_messages_to_a_callback_are_seen_without_its_query_and_sent_again(console: Window, world: World) -> None:
    page = console.page
    console.go("/console/jobs/new")
    page.get_by_label("Google access token").fill(TOKEN)
    page.get_by_label("Callback").fill("https://127.0.0.1:1/hook?key=not-to-be-seen")
    page.get_by_role("button", name="Fetch the reviews").click()
    expect_state(console, "completed")
    page.get_by_role("navigation", name="Job").get_by_role("link", name="Callback").click()
    message = page.locator("#rows tr")
    expect(message).to_contain_text("review_fetch.completed")
    expect(page.get_by_text("https://127.0.0.1:1/hook")).to_be_visible()
    assert "not-to-be-seen" not in page.content()
    expect(message.locator("[data-label='Last answer'] .note")).not_to_be_empty(timeout=20_000)
    page.get_by_role("button", name="again").click()
    expect(message).to_contain_text("review_fetch.completed")


def test_waiting_for_quota_is_told_with_its_end(console: Window, world: World) -> None:
    fault = {"fault": "rate_limited", "api": "reviews", "times": 1, "retry_after": 60}
    control(world.google, "POST", "faults", [fault])
    submit(console, "ya29.sim-project7-quota")
    expect(console.page.locator("#live")).to_contain_text("Waiting for Google quota until")
    wait_for(world.google, "fault:rate_limited", 1)
    console.page.get_by_text("Cancel…").click()
    console.page.get_by_role("button", name="Cancel the job").click()
    expect_state(console, "cancelled")
