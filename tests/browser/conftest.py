"""One browser and one service for all of these tests; those that need a service of their own start it.

Playwright's loop runs in this thread from the first test to the last: no asynchronous fixture is used here.
"""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import running_browser
from tests.browser.planting import hostile_job, plant
from tests.browser.window import PATIENCE_MS, Window, window
from tests.support.canary_fixture import swept
from tests.support.service import Service, Site, site
from tests.support.simulator import control, simulator_process

WORLD = ("--accounts", "2", "--locations", "6", "--reviews", "60")
LOCATIONS, REVIEWS = 12, 720
"""What every job finds in it."""


class World(NamedTuple):
    """A service, where it stands, the Google that it asks, and a job with hostile texts that it has."""

    service: Service
    place: Site
    google: str
    hostile_job: str


expect.set_options(timeout=PATIENCE_MS)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package", autouse=True)
def no_secret_is_left() -> Iterator[None]:
    """After all of these tests, which share their services: as after every flow."""
    with swept():
        yield


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with running_browser() as started:
        yield started


@pytest.fixture(scope="package")
def shared_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("console")
    with simulator_process(*WORLD) as google, site(directory, google) as place:
        hostile = plant(place.database, hostile_job)
        yield World(place.start(), place, google, hostile)


@pytest.fixture
def world(shared_world: World) -> Iterator[World]:
    """A service without API keys. What a test lets go wrong at its Google ends with it."""
    yield shared_world
    control(shared_world.google, "DELETE", "faults")
    control(shared_world.google, "POST", "release")


@pytest.fixture
def console(browser: Browser, world: World) -> Iterator[Window]:
    """A window on that service."""
    with window(browser, world.service.url) as opened:
        yield opened
