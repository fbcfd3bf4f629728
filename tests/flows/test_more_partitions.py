"""Topics get more partitions while replicas work: docs/runbooks.md, "More partitions"."""

import asyncio
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions

from app.config.groups import KafkaConfig
from app.models.events import Topic
from tests.support.clients import submitting, wait_for_jobs
from tests.support.kafka import SECONDS, read
from tests.support.replicas import deployed
from tests.support.runbooks import follow
from tests.support.service import eventually
from tests.support.stack import Stack
from tests.support.transcripts import make_checkout

pytestmark = [pytest.mark.postgresql, pytest.mark.kafka, pytest.mark.timeout(400)]

WORLD = "sim-accounts1-locations3-reviews60"
FEW, MORE = 2, 5
TOLD_WITHIN_SECONDS = 25.0
"""The leader looks every ten seconds."""


@pytest.fixture
def stack(postgresql_database: str, topic_prefix: str, kafka_bootstrap_servers: str, tmp_path: Path) -> Stack:
    kafka = KafkaConfig(bootstrap_servers=(kafka_bootstrap_servers,), topic_prefix=topic_prefix, topic_partitions=FEW)
    return Stack.on_servers(make_checkout(tmp_path), postgresql_database, kafka)


def add_partitions(stack: Stack) -> None:
    """The request that `kafka-topics.sh --alter` sends."""
    admin = AdminClient({"bootstrap.servers": stack.environment["KAFKA_BOOTSTRAP_SERVERS"]})
    names = [stack.environment["KAFKA_TOPIC_PREFIX"] + topic for topic in Topic]
    for made in admin.create_partitions([NewPartitions(name, MORE) for name in names]).values():
        made.result(SECONDS)


async def test_partitions_are_added_under_load_and_nothing_is_lost_or_doubled(stack: Stack) -> None:
    def expand() -> None:
        with deployed(stack, replicas=2) as deployment:
            place, replicas = deployment.place, deployment.replicas
            with submitting(lambda: replicas, WORLD) as clients:
                wait_for_jobs(clients, 3)
                add_partitions(stack)

                def one_tells() -> bool:
                    answers = [replica.get("/readyz") for replica in replicas]
                    return any(b"KAFKA_TOPIC_PARTITIONS" in answer.body for answer in answers)

                eventually(one_tells, TOLD_WITHIN_SECONDS, "a readiness that names the topics", every=0.2)
                for number in range(len(replicas)):
                    replicas[number].terminate()
                    replicas[number] = place.start(KAFKA_TOPIC_PARTITIONS=str(MORE))
                    wait_for_jobs(clients, 2)
            assert clients.refused == 0
            deployment.assert_all_walked(clients.accepted)
            (examined,) = follow("More partitions", stack.directory, place.settings, {"=12": f"={MORE}"})
            assert "the topics are as they should be" in examined, examined
            deployment.terminate()

    await asyncio.to_thread(expand)
    await stack.assert_each_review_published_once()
    prefix, servers = stack.environment["KAFKA_TOPIC_PREFIX"], stack.environment["KAFKA_BOOTSTRAP_SERVERS"]
    for topic in (Topic.REVIEWS_RAW, Topic.FETCH_REVIEWS):
        used = {message.partition() or 0 for message in await read(servers, prefix + topic)}
        assert max(used) >= FEW, f"{topic}: the new partitions are not used"
