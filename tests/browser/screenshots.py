"""`python -m tests.browser.screenshots`: the pictures of README and docs, taken of a simulated merchant."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, expect

from app.store.activity import MINUTE, Activity, add_activity
from app.store.database import Transaction
from app.store.sqlite import SqliteDatabase
from tests.browser.chromium import running_browser
from tests.browser.planting import plant
from tests.browser.steps import TOKEN, expect_state, submit
from tests.browser.window import Window, window
from tests.support.api import SEALING_KEYS
from tests.support.service import ROOT, Service, site
from tests.support.simulator import control, simulator_process

FOLDER = ROOT / "docs" / "images"
WORLD = ("--accounts", "3", "--locations", "24", "--reviews", "180")
LIMITS = {"RATELIMIT_TOKEN_BUCKET_CAPACITY": "1200", "RATELIMIT_REFILL_RATE": "10", "RATELIMIT_PER_MINUTE": "2000"}
SIZE = {"width": 1200, "height": 860}


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        running_browser() as browser,
        simulator_process(*WORLD) as google,
        site(Path(directory), google, **LIMITS) as place,
    ):
        plant(place.database, _an_hour)
        take(browser, place.start(TOKEN_SEALING_KEYS=SEALING_KEYS), google)
    sys.stdout.write(f"The pictures are in {FOLDER}.\n")


def take(browser: Browser, service: Service, google: str) -> None:
    """A job that is completed, one with dead letters, one in the middle; then the pages."""
    FOLDER.mkdir(exist_ok=True)
    with window(browser, service.url, viewport=SIZE) as light:
        submit(light)
        expect_state(light, "completed")
        completed = light.page.url.rpartition("/")[2]
        *away, refused = control(google, "GET", f"truth?token={TOKEN}")["locations"][:4]
        faults = [{"fault": "failure", "status": 503, "path": place["name"]} for place in away]
        refusal = {"fault": "forbidden", "reason": "SERVICE_DISABLED", "path": refused["name"]}
        control(google, "POST", "faults", [*faults, refusal])
        submit(light)
        expect_state(light, "dlq")
        control(google, "DELETE", "faults")
        control(google, "POST", "faults", [{"fault": "hold", "api": "reviews", "after": 150}])
        submit(light)
        expect(light.page.get_by_role("progressbar", name="Accounts listed")).to_have_attribute("value", "3")
        light.page.wait_for_function("document.querySelector('[aria-labelledby=reviews-bar]').value > 5000")
        light.page.locator("#accounts summary").first.click()
        expect(light.page.locator("#accounts .branch tbody tr").first).to_be_visible()
        running = light.page.url
        _picture(light, "job-light")
        for path, name in (
            ("/console/", "overview"),
            ("/console/dead-letters", "dead-letters"),
            (f"/console/jobs/{completed}/reviews?rating=2", "results"),
        ):
            light.go(path)
            _picture(light, name)
    with window(browser, service.url, viewport=SIZE, color_scheme="dark") as dark:
        dark.go(running.removeprefix(service.url))
        dark.page.locator("#accounts summary").first.click()
        expect(dark.page.locator("#accounts .branch tbody tr").first).to_be_visible()
        _picture(dark, "job-dark")


def _picture(opened: Window, name: str) -> None:
    opened.page.evaluate("document.activeElement.blur()")
    opened.page.screenshot(path=FOLDER / f"{name}.png", animations="disabled", caret="hide")


async def _an_hour(database: SqliteDatabase) -> str:
    """What a service did in the hour before, which would take an hour to do."""
    await database.write(_activity)
    return ""


def _activity(transaction: Transaction) -> None:
    last = int(transaction.now // MINUTE)
    done: list[Activity] = []
    for ago in range(1, 60):
        calls = 40 + (ago * 37) % 50 + (120 if 12 <= ago <= 31 else 0)
        done.append(Activity("default", last - ago, calls * 46, calls, 18 if ago in (20, 21, 22) else 0))
    add_activity(transaction, done)


if __name__ == "__main__":
    main()
