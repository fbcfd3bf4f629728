"""What people do on the pages, step by step."""

import re

from playwright.sync_api import Locator, expect

from tests.browser.window import Window

TOKEN = "ya29.a-token-typed-into-a-form"
PATIENCE_MS = 20_000


def submit(console: Window, token: str = TOKEN) -> str:
    """Fill in the form; the id of the job whose page it led to."""
    console.go("/console/jobs/new")
    console.page.get_by_label("Google access token").fill(token)
    console.page.get_by_role("button", name="Fetch the reviews").click()
    console.page.wait_for_url(re.compile(r"/console/jobs/[0-9a-f-]{36}$"))
    return console.page.url.rpartition("/")[2]


def headline(console: Window) -> Locator:
    """The job's state, as its page shows it."""
    return console.page.locator("#live .headline")


def expect_state(console: Window, state: str) -> None:
    """Until the page shows it by itself."""
    expect(headline(console)).to_have_text(state, timeout=PATIENCE_MS)
