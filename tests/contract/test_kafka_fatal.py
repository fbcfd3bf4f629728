"""A fatal error of the real librdkafka, injected by the function that it has for such tests."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from confluent_kafka import KafkaError

from app.broker.base import BrokerUnavailableError
from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.kafka_publisher import KafkaEventPublisher, Record
from app.broker.topics import KafkaTopics
from app.clock import SystemClock
from app.models.events import Topic
from tests.support.kafka import own_topics, read
from tests.support.librdkafka import fail_for_good

pytestmark = pytest.mark.kafka


@pytest.fixture
async def topic(kafka_bootstrap_servers: str) -> AsyncIterator[str]:
    async with own_topics(kafka_bootstrap_servers) as prefix:
        topics = KafkaTopics(
            KafkaConnection(kafka_bootstrap_servers), TopicLayout(1), SystemClock(), prefix=prefix, deadline=30.0
        )
        await asyncio.to_thread(topics.prepare)
        topics.close()
        yield topics.name(Topic.FETCH_REVIEWS)


@pytest.fixture
def publisher(kafka_bootstrap_servers: str) -> KafkaEventPublisher:
    return KafkaEventPublisher(KafkaConnection(kafka_bootstrap_servers), SystemClock(), deadline=10.0)


async def test_after_a_fatal_error_the_next_message_is_sent(
    publisher: KafkaEventPublisher, topic: str, kafka_bootstrap_servers: str
) -> None:
    publisher.send([Record(topic, b"key", b"before", {})])
    failed = publisher._producer
    assert failed is not None
    fail_for_good(failed)
    with pytest.raises(BrokerUnavailableError, match="Fatal error"):
        publisher.send([Record(topic, b"key", b"lost", {})])
    publisher.send([Record(topic, b"key", b"after", {})])
    assert publisher._producer is not failed
    assert [message.value() for message in await read(kafka_bootstrap_servers, topic)] == [b"before", b"after"]


async def test_serving_and_asking_raise_nothing_of_it(publisher: KafkaEventPublisher, topic: str) -> None:
    """A thread that ended with it would serve nobody any more."""
    answers: list[KafkaError | None] = []
    publisher.send_soon(Record(topic, b"key", b"one", {}), answers.append)
    assert publisher._producer is not None
    fail_for_good(publisher._producer)
    publisher.serve(1.0)
    publisher.ask(topic, 10.0)
    publisher.send_soon(Record(topic, b"key", b"two", {}), answers.append)
    publisher.flush()
    assert [error is None for error in answers][1:] == [True]
