"""The main flows once more on PostgreSQL and Kafka, with two replicas: a session works on both."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.config.groups import KafkaConfig
from app.console.sessions import COOKIE
from tests.browser.conftest import LOCATIONS, REVIEWS, WORLD
from tests.browser.steps import TOKEN, expect_state, submit
from tests.browser.window import window
from tests.support.kafka import own_topics
from tests.support.service import site
from tests.support.simulator import control, simulator_process
from tests.support.stack import Stack

pytestmark = [pytest.mark.postgresql, pytest.mark.kafka]

KEY = "a-key-for-the-console-alone"


@pytest.fixture
def topic_prefix(kafka_bootstrap_servers: str) -> Iterator[str]:
    """As in the flows, with an event loop in a thread of its own."""
    topics = own_topics(kafka_bootstrap_servers)
    runner = asyncio.Runner()
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(runner.run, topics.__aenter__()).result()
        thread.submit(runner.run, topics.__aexit__(None, None, None)).result()
        thread.submit(runner.close).result()


def test_the_main_flows_on_real_servers(
    browser: Browser, postgresql_database: str, kafka_bootstrap_servers: str, topic_prefix: str, tmp_path: Path
) -> None:
    kafka = KafkaConfig(bootstrap_servers=(kafka_bootstrap_servers,), topic_prefix=topic_prefix, topic_partitions=6)
    settings = Stack.on_servers(tmp_path, postgresql_database, kafka).environment | {"API_KEYS": KEY}
    with simulator_process(*WORLD) as google, site(tmp_path, google, **settings) as place:
        first, second = place.start(), place.start()
        first.headers["X-API-Key"] = KEY
        with window(browser, first.url) as console:
            page = console.page
            console.go("/console/")
            page.get_by_label("API key").fill(KEY)
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("heading", name="Overview")).to_be_visible()

            job_id = submit(console)
            expect_state(console, "completed")
            expect(page.locator("#live")).to_contain_text(f"{REVIEWS} reviews of {LOCATIONS} locations")
            console.go(f"/console/jobs/{job_id}/reviews")
            with page.expect_download() as begun:
                page.get_by_role("link", name="NDJSON").click()
            assert len(begun.value.path().read_text().splitlines()) == REVIEWS == len(first.exported(job_id))

            place_away = control(google, "GET", f"truth?token={TOKEN}")["locations"][0]["name"]
            control(google, "POST", "faults", [{"fault": "failure", "status": 503, "path": place_away}])
            dead = submit(console)
            expect_state(console, "dlq")
            control(google, "DELETE", "faults")
            console.go(f"/console/dead-letters?job_id={dead}")
            page.get_by_role("button", name="Redrive all that are shown…").click()
            page.get_by_role("button", name="Redrive", exact=True).click()
            console.go(f"/console/jobs/{dead}")
            expect_state(console, "completed")

            control(google, "POST", "faults", [{"fault": "expired_token", "api": "reviews", "after": 4}])
            submit(console)
            expect_state(console, "needs token")
            control(google, "DELETE", "faults")
            page.get_by_label("Google access token").fill("ya29.a-new-token-for-the-job")
            page.get_by_role("button", name="Give the token").click()
            expect_state(console, "completed")
            session = page.context.cookies()[0]["value"]
        with window(browser, second.url) as other:
            address = second.url + "/console/"
            other.page.context.add_cookies([{"name": COOKIE, "value": session, "url": address}])
            other.go(f"/console/jobs/{dead}")
            expect_state(other, "completed")
