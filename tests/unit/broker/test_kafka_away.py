"""No Kafka at the address: every call says so within its deadline."""

import asyncio
import time

import pytest

from app.broker.base import BrokerUnavailableError
from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.kafka import KafkaBroker
from app.broker.kafka_publisher import KafkaEventPublisher, Record
from app.clock import SystemClock

NOBODY = KafkaConnection("127.0.0.1:1")


async def test_preparing_topics_without_kafka_fails_within_the_deadline() -> None:
    broker = KafkaBroker(NOBODY, "group", SystemClock(), layout=TopicLayout(), deadline=0.3)
    await broker.start()
    began = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match=NOBODY.bootstrap_servers):
        await broker.prepare()
    assert time.monotonic() - began < 3
    await broker.close()


async def test_a_send_without_kafka_fails_within_the_deadline() -> None:
    publisher = KafkaEventPublisher(NOBODY, SystemClock(), deadline=0.3)
    began = time.monotonic()
    with pytest.raises(BrokerUnavailableError):
        await asyncio.to_thread(publisher.send, [Record("topic", b"key", b"value", {})])
    await asyncio.to_thread(publisher.flush)
    assert time.monotonic() - began < 3
