"""What becomes of finished work when Kafka does not take its offset; no Kafka takes part."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, TopicPartition

from app.broker import kafka_consumer
from app.broker.connection import KafkaConnection
from app.broker.envelope import envelope_of
from app.broker.kafka_consumer import KafkaConsumer, Source
from app.broker.kafka_publisher import KafkaEventPublisher
from app.broker.poison import DeadLetterTopic
from app.clock import SystemClock
from app.models.job import Stage, Work

WORK = Work(1, 1, Stage.REVIEWS, "default", "job-1", "locations/1", "accounts/1", "")
TIMED_OUT = KafkaError(KafkaError.REQUEST_TIMED_OUT)


class HastyClock(SystemClock):
    """Each look at it is a second later: every pass of a member commits what is due."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = 0

    def monotonic(self) -> float:
        self._looks += 1
        return float(self._looks)


class ForgetfulKafka:
    """One message at offset 7, and a coordinator that answers the first two commits with an error.

    `settled`: nothing was committed any more for some passes of the member.
    """

    def __init__(self) -> None:
        self.commits: list[int] = []
        self.unread = [Message(topic="fetch-reviews", partition=0, offset=7, value=_bytes(WORK))]
        self.settled = threading.Event()
        self._quiet = 0

    def __call__(self, settings: Mapping[str, Any], logger: object) -> "ForgetfulKafka":
        self._on_commit: Callable[[KafkaError | None, list[TopicPartition]], None] = settings["on_commit"]
        return self

    def subscribe(self, *_topics: object, **_callbacks: object) -> None: ...

    def close(self) -> None: ...

    def poll(self, _seconds: float) -> Message | None:
        self._quiet += 1
        if self._quiet > 5 and 8 in self.commits:
            self.settled.set()
        return self.unread.pop() if self.unread else None

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self._quiet = 0
        self.commits += [item.offset for item in offsets]
        self._on_commit(TIMED_OUT if self.commits.count(8) < 3 else None, offsets)


def _bytes(work: Work) -> bytes:
    return envelope_of(work, 0.0).model_dump_json().encode()


async def test_an_offset_that_kafka_did_not_take_is_committed_until_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = ForgetfulKafka()
    monkeypatch.setattr(kafka_consumer, "Consumer", kafka)
    clock = HastyClock()
    letters = DeadLetterTopic(KafkaEventPublisher(KafkaConnection("nobody"), clock, deadline=1.0), "letters", clock)
    consumer = KafkaConsumer(Source({}, "fetch-reviews", Stage.REVIEWS), letters, clock, buffer=8)
    (delivery,) = await consumer.receive(1)
    consumer.acknowledge(delivery)
    assert await asyncio.to_thread(kafka.settled.wait, 10.0)
    await consumer.close(10.0)
    assert [offset for offset in kafka.commits if offset == 8] == [8, 8, 8], "and not once it was taken"
