"""What `doctor` says about a Kafka."""

import json
from pathlib import Path

import pytest

from app.cli.exits import ExitCode
from app.models.events import Topic
from tests.flows.test_cli_serve import command
from tests.support.kafka import create_topic, own_topics, topics

pytestmark = pytest.mark.kafka


async def finding(directory: Path, servers: str, prefix: str, partitions: int) -> tuple[int | None, dict[str, str]]:
    """How `doctor` ended, and what it found of Kafka."""
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "KAFKA_TOPIC_PREFIX": prefix,
        "KAFKA_TOPIC_PARTITIONS": str(partitions),
    }
    ended = await command(directory, "doctor", "--json", **settings)
    (found,) = (check for check in json.loads(ended.out)["checks"] if check["check"] == "Kafka")
    return ended.code, found


async def test_topics_that_are_missing_are_named_and_not_made(tmp_path: Path, kafka_bootstrap_servers: str) -> None:
    async with own_topics(kafka_bootstrap_servers) as prefix:
        await create_topic(kafka_bootstrap_servers, prefix + Topic.FETCH_ACCOUNTS, partitions=2)
        code, found = await finding(tmp_path, kafka_bootstrap_servers, prefix, partitions=2)
        assert code == ExitCode.OK
        assert found["health"] == "ok"
        missing = {prefix + topic for topic in Topic} - {prefix + Topic.FETCH_ACCOUNTS}
        assert set(found["found"].partition("next start: ")[2].split(", ")) == missing
        assert await topics(kafka_bootstrap_servers, prefix) == [prefix + Topic.FETCH_ACCOUNTS]


async def test_a_layout_that_the_service_would_refuse_is_broken(tmp_path: Path, kafka_bootstrap_servers: str) -> None:
    async with own_topics(kafka_bootstrap_servers) as prefix:
        await create_topic(kafka_bootstrap_servers, prefix + Topic.FETCH_ACCOUNTS, partitions=1)
        code, found = await finding(tmp_path, kafka_bootstrap_servers, prefix, partitions=2)
    assert code == ExitCode.FAILED
    assert found["health"] == "broken"
    assert "set KAFKA_TOPIC_PARTITIONS=1" in found["mend"]
