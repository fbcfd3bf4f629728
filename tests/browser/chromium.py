"""A real Chromium, without a window: where it is, and how it is started so that it talks to nobody by itself."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.support.machine import lacking

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable() -> str:
    """The browser that CHROMIUM names, or the machine's. Without one the tests skip, unless services are required."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        lacking("no Chromium: install it (Debian: apt-get install chromium), or set CHROMIUM to its path")
    return found


@contextmanager
def running_browser() -> Iterator[Browser]:
    """With a profile of its own, gone afterwards."""
    path = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()
