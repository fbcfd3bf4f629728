"""Every flow runs on both stacks; and what must survive a bad day runs on a good one and on a bad one."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.config.groups import KafkaConfig
from app.simulator import Faults
from tests.support.canary_fixture import swept
from tests.support.clock import ManualClock
from tests.support.console import ServedConsole, served_console
from tests.support.engine import publish_the_rest
from tests.support.image import Image, image_of_this_source
from tests.support.kafka import own_topics
from tests.support.proxied import Replica, two_replicas
from tests.support.stack import Stack
from tests.support.store import sqlite_database
from tests.support.sweeping import sweep_topics

ON_SERVERS = [pytest.mark.postgresql, pytest.mark.kafka]


@pytest.fixture(autouse=True)
def no_secret_is_left(tmp_path: Path) -> Iterator[None]:
    """After every flow: its tokens and keys are in no log, file, row, message, metric, answer or process argument."""
    with swept(tmp_path):
        yield


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Built once, also for tests that run beside each other in processes of their own."""
    base = tmp_path_factory.getbasetemp()
    return image_of_this_source((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "image")


@pytest.fixture
def replicas() -> Iterator[list[Replica]]:
    """What stands behind a proxy."""
    with two_replicas() as started:
        yield started


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def served(tmp_path: Path, clock: ManualClock) -> AsyncIterator[ServedConsole]:
    """The API and its console in this process, over a store of their own."""
    async with sqlite_database(tmp_path) as database, served_console(database, clock) as console:
        yield console


@pytest.fixture(params=["good", "flaky"])
def faults(request: pytest.FixtureRequest) -> Faults:
    """What goes wrong at Google: nothing, or everything that a correct client survives."""
    return Faults.preset(request.param)


@pytest.fixture
async def topic_prefix(kafka_bootstrap_servers: str) -> AsyncIterator[str]:
    """Of topics on the real Kafka that are deleted afterwards."""
    async with own_topics(kafka_bootstrap_servers) as prefix:
        yield prefix
        await sweep_topics(kafka_bootstrap_servers, prefix)


@pytest.fixture
async def servers(
    postgresql_database: str, kafka_bootstrap_servers: str, topic_prefix: str, tmp_path: Path
) -> AsyncIterator[Stack]:
    """A real PostgreSQL and a real Kafka. In the end, what was stored must be what a consumer of reviews-raw got."""
    kafka = KafkaConfig(bootstrap_servers=(kafka_bootstrap_servers,), topic_prefix=topic_prefix, topic_partitions=6)
    running = Stack.on_servers(tmp_path, postgresql_database, kafka)
    yield running
    if await running.anything_waits():
        await publish_the_rest(running)
    await running.assert_each_review_published_once()


@pytest.fixture(params=["sqlite_in-process", pytest.param("postgresql_kafka", marks=ON_SERVERS)])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Stack:
    """Where the flow's service works."""
    if request.param == "sqlite_in-process":
        return Stack.on_sqlite(tmp_path)
    servers: Stack = request.getfixturevalue("servers")
    return servers
