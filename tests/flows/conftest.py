"""Every flow runs on both stacks; and what must survive a bad day runs on a good one and on a bad one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.config.groups import KafkaConfig
from app.simulator import Faults
from tests.support.kafka import own_topics
from tests.support.stack import Stack

ON_SERVERS = [pytest.mark.postgresql, pytest.mark.kafka]


@pytest.fixture(params=["good", "flaky"])
def faults(request: pytest.FixtureRequest) -> Faults:
    """What goes wrong at Google: nothing, or everything that a correct client survives."""
    return Faults.preset(request.param)


@pytest.fixture(params=["sqlite_in-process", pytest.param("postgresql_kafka", marks=ON_SERVERS)])
async def stack(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stack]:
    """Where the flow's service works. In the end, what it stored must be what a consumer of reviews-raw got."""
    if request.param == "sqlite_in-process":
        yield Stack.on_sqlite(tmp_path)
        return
    servers = request.getfixturevalue("kafka_bootstrap_servers")
    database_url = request.getfixturevalue("postgresql_database")
    async with own_topics(servers) as prefix:
        kafka = KafkaConfig(bootstrap_servers=(servers,), topic_prefix=prefix, topic_partitions=3)
        running = Stack.on_servers(tmp_path, database_url, kafka)
        yield running
        await running.assert_each_review_published_once()
