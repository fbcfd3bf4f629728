"""Signing in with a key, and what happens when it is wrong, taken away or too weak."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import World
from tests.browser.window import Window, window
from tests.support.canaries import CANARIES
from tests.support.service import ROOT, Site, site


@pytest.fixture(scope="module")
def guarded_site(tmp_path_factory: pytest.TempPathFactory, shared_world: World) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("guarded"), shared_world.google) as place:
        _keys(place, "create", "the first")  # a service that has seen none believes so for some seconds
        place.start()
        yield place


@pytest.fixture(scope="module")
def open_site(tmp_path_factory: pytest.TempPathFactory, shared_world: World) -> Iterator[Site]:
    """Where nobody has made a key."""
    with site(tmp_path_factory.mktemp("open"), shared_world.google) as place:
        place.start()
        yield place


@pytest.fixture
def guarded(browser: Browser, guarded_site: Site) -> Iterator[Window]:
    with window(browser, guarded_site.services[0].url) as opened:
        opened.expect_complaint("status of 401")
        yield opened


def _keys(place: Site, *arguments: str) -> str:
    """`review-fetcher keys …` beside the running service."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **place.settings}
    command = [sys.executable, "-m", "app.cli", "keys", *arguments]
    done = subprocess.run(command, cwd=place.directory, env=environment, capture_output=True, text=True, check=True)
    key = done.stdout.strip()
    CANARIES.learn(key)
    return key


def _sign_in(opened: Window, key: str) -> None:
    opened.page.get_by_label("API key").fill(key)
    opened.page.get_by_role("button", name="Sign in").click()


def test_a_key_opens_the_page_that_was_wanted_and_signing_out_closes_it(guarded: Window, guarded_site: Site) -> None:
    page = guarded.page
    key = _keys(guarded_site, "create", "console")
    guarded.go("/console/jobs?status=failed")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    _sign_in(guarded, "not-a-key-of-this-service")
    expect(page.get_by_role("alert")).to_contain_text("not a valid API key")
    _sign_in(guarded, key)
    page.wait_for_url("**/console/jobs?status=failed")
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/console")
    assert key not in cookie["value"]
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/console/sign-in")
    guarded.go("/console/jobs")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_revoked_key_ends_the_session_on_the_open_page(guarded: Window, guarded_site: Site) -> None:
    key = _keys(guarded_site, "create", "to be revoked", "--scope", "read")
    guarded.go("/console/")
    _sign_in(guarded, key)
    expect(guarded.page.get_by_role("heading", name="Overview")).to_be_visible()
    _keys(guarded_site, "revoke", key.split("_")[1])
    guarded.page.wait_for_url("**/console/sign-in?next=/console/", timeout=20_000)


def test_an_expired_key_ends_the_session_on_the_open_page(guarded: Window, guarded_site: Site) -> None:
    key = _keys(guarded_site, "create", "to be rotated", "--scope", "read")
    guarded.go("/console/")
    _sign_in(guarded, key)
    expect(guarded.page.get_by_role("heading", name="Overview")).to_be_visible()
    new = _keys(guarded_site, "rotate", key.split("_")[1], "--overlap", "1s")
    guarded.page.wait_for_url("**/console/sign-in?next=/console/", timeout=20_000)
    _sign_in(guarded, key)
    expect(guarded.page.get_by_role("alert")).to_contain_text("expired")
    _sign_in(guarded, new)
    expect(guarded.page.get_by_role("heading", name="Overview")).to_be_visible()


def test_a_cookie_that_was_copied_opens_nothing_after_the_sign_out(guarded: Window, guarded_site: Site) -> None:
    """ASVS 5.0 V7."""
    guarded.go("/console/")
    _sign_in(guarded, _keys(guarded_site, "create", "leaver", "--scope", "read"))
    page = guarded.page
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    (cookie,) = page.context.cookies()

    def come_with_the_copy() -> None:
        page.context.clear_cookies()
        page.context.add_cookies(
            [{"name": cookie["name"], "value": cookie["value"], "domain": cookie["domain"], "path": cookie["path"]}]
        )
        guarded.go("/console/jobs")

    come_with_the_copy()
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/console/sign-in")
    come_with_the_copy()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("path", ["/console/", "/console/sign-in", "/console/jobs", "/console/settings", "/docs"])
def test_while_there_are_no_keys_every_page_says_so(browser: Browser, open_site: Site, path: str) -> None:
    with window(browser, open_site.services[0].url) as opened:
        opened.go(path)
        expect(opened.page.get_by_text("Open to this machine.")).to_be_visible()


def test_a_reader_sees_no_actions_and_a_page_that_says_what_is_missing(guarded: Window, guarded_site: Site) -> None:
    guarded.expect_complaint("status of 403")
    guarded.go("/console/")
    _sign_in(guarded, _keys(guarded_site, "create", "reader", "--scope", "read"))
    page = guarded.page
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    expect(page.get_by_role("link", name="New job")).to_have_count(0)
    expect(page.get_by_role("link", name="Settings")).to_have_count(0)
    guarded.go("/console/settings")
    expect(page.get_by_role("heading", name="The API key lacks a scope")).to_be_visible()
    guarded.go("/console/jobs/new")
    expect(page.get_by_text("Scope: submit")).to_be_visible()


def test_a_form_without_its_token_is_refused(guarded: Window, guarded_site: Site) -> None:
    guarded.expect_complaint("status of 403")
    guarded.go("/console/jobs/new")
    _sign_in(guarded, _keys(guarded_site, "create", "forger"))
    page = guarded.page
    page.get_by_label("Google access token").fill("ya29.never-taken-in")
    page.evaluate("document.querySelector('main [name=csrf]').value = 'forged'")
    page.get_by_role("button", name="Fetch the reviews").click()
    expect(page.get_by_role("heading", name="The form is too old")).to_be_visible()


def test_the_log_holds_no_key(guarded_site: Site, tmp_path: Path) -> None:
    assert "rf_" not in guarded_site.logs()
