"""The topics of the service on a real Kafka: made as asked, and refused in plain words when they are otherwise."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from app.broker.base import TopicLayoutError
from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.topics import KafkaTopics
from app.clock import SystemClock
from app.models.events import TOPIC_OF, Topic
from tests.support.kafka import SECONDS, delete_topic, own_topics

pytestmark = pytest.mark.kafka


@dataclass(frozen=True)
class Cluster:
    """A real Kafka, and the beginning of this test's topics on it."""

    bootstrap_servers: str
    prefix: str
    admin: AdminClient

    async def prepare(self, layout: TopicLayout) -> str:
        """As a process that has just started does."""
        connection = KafkaConnection(self.bootstrap_servers)
        topics = KafkaTopics(connection, layout, SystemClock(), prefix=self.prefix, deadline=SECONDS)
        return await asyncio.to_thread(topics.prepare)

    async def refusal(self, layout: TopicLayout) -> str:
        with pytest.raises(TopicLayoutError) as refused:
            await self.prepare(layout)
        return str(refused.value)

    async def make(self, topic: Topic, partitions: int, config: Mapping[str, str] | None = None) -> None:
        new = NewTopic(self.prefix + topic, partitions, 1, config=dict(config or {}))
        await asyncio.to_thread(self.admin.create_topics([new])[new.topic].result, SECONDS)

    def partitions(self) -> Mapping[Topic, int]:
        listed = self.admin.list_topics(timeout=SECONDS).topics
        return {topic: len(listed[self.prefix + topic].partitions) for topic in Topic if self.prefix + topic in listed}

    def setting(self, topic: Topic, name: str) -> str:
        resource = ConfigResource(ConfigResource.Type.TOPIC, self.prefix + topic)
        return str(self.admin.describe_configs([resource])[resource].result(SECONDS)[name].value)


@pytest.fixture
async def cluster(kafka_bootstrap_servers: str) -> AsyncIterator[Cluster]:
    async with own_topics(kafka_bootstrap_servers) as prefix:
        yield Cluster(kafka_bootstrap_servers, prefix, AdminClient({"bootstrap.servers": kafka_bootstrap_servers}))


async def test_all_topics_are_made_with_the_partitions_asked_for(cluster: Cluster) -> None:
    await cluster.prepare(TopicLayout(partitions=3))
    assert await asyncio.to_thread(cluster.partitions) == dict.fromkeys(Topic, 3)


@pytest.mark.parametrize("topic", [Topic.REVIEWS_RAW, Topic.DEAD_LETTERS])
async def test_topics_that_hold_reviews_take_large_messages_and_delete_old_ones(cluster: Cluster, topic: Topic) -> None:
    await cluster.prepare(TopicLayout(partitions=1, max_message_bytes=1_500_000))
    assert await asyncio.to_thread(cluster.setting, topic, "max.message.bytes") == "1500000"
    assert await asyncio.to_thread(cluster.setting, topic, "cleanup.policy") == "delete"


async def test_replicas_that_start_together_all_succeed_and_see_the_same_topics(cluster: Cluster) -> None:
    seen = await asyncio.gather(*(cluster.prepare(TopicLayout(partitions=2)) for _ in range(5)))
    assert len(set(seen)) == 1


async def test_what_somebody_else_made_is_kept_and_the_rest_is_added(cluster: Cluster) -> None:
    await cluster.make(Topic.FETCH_REVIEWS, 2, {"retention.ms": "3600000"})
    await cluster.prepare(TopicLayout(partitions=2))
    assert set(await asyncio.to_thread(cluster.partitions)) == set(Topic)
    assert await asyncio.to_thread(cluster.setting, Topic.FETCH_REVIEWS, "retention.ms") == "3600000"


async def test_too_few_partitions_are_refused_with_both_ways_out(cluster: Cluster) -> None:
    await cluster.make(Topic.FETCH_REVIEWS, 2)
    said = await cluster.refusal(TopicLayout(partitions=4))
    name = cluster.prefix + Topic.FETCH_REVIEWS
    assert f"The topic {name} has 2 partitions and KAFKA_TOPIC_PARTITIONS asks for 4" in said
    assert "set KAFKA_TOPIC_PARTITIONS=2" in said
    assert f"kafka-topics.sh --alter --topic {name} --partitions 4" in said


async def test_too_many_partitions_are_refused_with_the_only_way_out(cluster: Cluster) -> None:
    await cluster.make(Topic.FETCH_REVIEWS, 3)
    said = await cluster.refusal(TopicLayout(partitions=1))
    assert "set KAFKA_TOPIC_PARTITIONS=3" in said
    assert "--alter" not in said


async def test_another_number_of_copies_is_refused(cluster: Cluster) -> None:
    for topic in Topic:
        await cluster.make(topic, 1)
    said = await cluster.refusal(TopicLayout(partitions=1, replication_factor=2))
    assert f"{cluster.prefix}{Topic.REVIEWS_RAW} has a replication factor of 1" in said
    assert "set KAFKA_REPLICATION_FACTOR=1" in said


async def test_more_copies_than_brokers_are_refused_and_nothing_is_made(cluster: Cluster) -> None:
    said = await cluster.refusal(TopicLayout(partitions=1, replication_factor=9))
    assert "KAFKA_REPLICATION_FACTOR=9" in said
    assert cluster.prefix + Topic.FETCH_ACCOUNTS in said
    assert await asyncio.to_thread(cluster.partitions) == {}


async def test_a_topic_too_small_for_a_review_is_refused_with_the_command(cluster: Cluster) -> None:
    await cluster.make(Topic.REVIEWS_RAW, 1, {"max.message.bytes": "1000"})
    said = await cluster.refusal(TopicLayout(partitions=1, max_message_bytes=2_000_000))
    name = cluster.prefix + Topic.REVIEWS_RAW
    assert f"The topic {name} takes messages of 1000 bytes and needs 2000000" in said
    assert f"--entity-name {name} --add-config max.message.bytes=2000000" in said


async def test_every_fault_is_told_at_once(cluster: Cluster) -> None:
    await cluster.make(Topic.FETCH_REVIEWS, 2)
    await cluster.make(Topic.REVIEWS_RAW, 1, {"max.message.bytes": "1000"})
    said = await cluster.refusal(TopicLayout(partitions=1))
    assert Topic.FETCH_REVIEWS in said
    assert Topic.REVIEWS_RAW in said


async def test_the_identity_stays_until_a_work_topic_is_made_anew(cluster: Cluster) -> None:
    layout = TopicLayout(partitions=1)
    first = await cluster.prepare(layout)
    assert await cluster.prepare(layout) == first
    await delete_topic(cluster.bootstrap_servers, cluster.prefix + Topic.REVIEWS_RAW)
    assert await cluster.prepare(layout) == first, "it holds no work"
    seen = {first}
    for topic in TOPIC_OF.values():
        await delete_topic(cluster.bootstrap_servers, cluster.prefix + topic)
        seen.add(await cluster.prepare(layout))
    assert len(seen) == 1 + len(TOPIC_OF)
