"""A browser window that is cut off from everything but the service, and that remembers whatever a page did wrong."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Error, Page, Request, Route

from tests.support.canaries import CANARIES

PATIENCE_MS = 20_000
"""For what the service does in the background."""


class Window:
    """`page` is playwright's. What must not happen is collected, and `assert_clean` tells it."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.strayed: list[str] = []
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        page.set_default_timeout(PATIENCE_MS)
        page.context.route("**/*", self._let_through)
        page.on("console", self._heard)
        page.on("pageerror", self._failed)
        page.on("dialog", self._asked)
        page.on("request", self._requested)

    def go(self, path: str) -> None:
        """Open a page of the service."""
        self.page.goto(self.url + path)

    def expect_complaint(self, pattern: str) -> None:
        """What the browser will say about an answer that is meant to be an error."""
        self._expected.append(re.compile(pattern))

    def assert_clean(self) -> None:
        """No request went elsewhere; no script failed; nothing was refused by the policy; no dialog came up."""
        left = [line for line in self.complaints if not any(one.search(line) for one in self._expected)]
        assert left == []
        assert self.strayed == []

    def _let_through(self, route: Route) -> None:
        if route.request.url.startswith(self.url + "/"):
            route.continue_()
        else:
            self.strayed.append(route.request.url)
            route.abort()

    def _requested(self, request: Request) -> None:
        self.requests.append(request.url)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _failed(self, error: Error) -> None:
        self.complaints.append(f"script: {error}")

    def _asked(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()


@contextmanager
def window(browser: Browser, url: str, **options: Any) -> Iterator[Window]:
    """A window with cookies of its own on the service at `url`; clean at the end, or the test is red."""
    usual: dict[str, Any] = {"locale": "en-GB", "timezone_id": "UTC", "viewport": {"width": 1280, "height": 860}}
    context = browser.new_context(**usual | options)
    try:
        opened = Window(context.new_page(), url)
        yield opened
        CANARIES.learn(*(cookie.get("value", "") for cookie in context.cookies()))
        CANARIES.search("a page", [opened.page.content().encode()])
        opened.assert_clean()
    finally:
        context.close()
