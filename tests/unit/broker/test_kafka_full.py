"""A buffer that is full for a moment pauses nothing; one that stays full does, until there is room. No Kafka."""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from confluent_kafka import Message

from app.broker import kafka_consumer
from app.broker.connection import KafkaConnection
from app.broker.envelope import envelope_of
from app.broker.kafka_consumer import FULL_SECONDS, KafkaConsumer, Source
from app.broker.kafka_publisher import KafkaEventPublisher
from app.broker.poison import DeadLetterTopic
from app.models.job import Stage, Work
from tests.support.clock import ManualClock

BUFFER = 4


class FullKafka:
    """As many messages as fill the buffer in a first pass, and one more in the next."""

    def __init__(self) -> None:
        first = [_message(number) for number in range(BUFFER)]
        self._coming: Iterator[Message | None] = iter([*first, None, _message(BUFFER)])
        self.paused = threading.Event()
        self.resumed = threading.Event()

    def __call__(self, settings: Mapping[str, Any], logger: object) -> "FullKafka":
        return self

    def subscribe(self, *_topics: object, **_callbacks: object) -> None: ...

    def close(self) -> None: ...

    def commit(self, **_offsets: object) -> None: ...

    def assignment(self) -> list[object]:
        return []

    def poll(self, _seconds: float) -> Message | None:
        return next(self._coming, None)

    def pause(self, _partitions: object) -> None:
        self.paused.set()

    def resume(self, _partitions: object) -> None:
        self.resumed.set()


def _message(number: int) -> Message:
    work = Work(number + 1, 1, Stage.REVIEWS, "default", "job-1", f"locations/{number}", "accounts/1", "")
    return Message(
        topic="fetch-reviews", partition=0, offset=number, value=envelope_of(work, 0.0).model_dump_json().encode()
    )


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> FullKafka:
    full = FullKafka()
    monkeypatch.setattr(kafka_consumer, "Consumer", full)
    return full


def _consumer(clock: ManualClock) -> KafkaConsumer:
    letters = DeadLetterTopic(KafkaEventPublisher(KafkaConnection("nobody"), clock, deadline=1.0), "letters", clock)
    return KafkaConsumer(Source({}, "fetch-reviews", Stage.REVIEWS), letters, clock, buffer=BUFFER)


async def _receive(consumer: KafkaConsumer, number: int) -> list[int]:
    received: list[int] = []
    async with asyncio.timeout(10):
        while len(received) < number:
            received += [delivery.work.task_id for delivery in await consumer.receive(number - len(received))]
    return received


async def test_a_buffer_that_is_full_for_a_moment_pauses_nothing(kafka: FullKafka) -> None:
    consumer = _consumer(ManualClock())
    assert await _receive(consumer, BUFFER + 1) == list(range(1, BUFFER + 2))
    await consumer.close(10.0)
    assert not kafka.paused.is_set()


async def test_a_buffer_that_stays_full_pauses_until_half_of_it_is_taken(kafka: FullKafka) -> None:
    clock = ManualClock()
    consumer = _consumer(clock)
    await _receive(consumer, 1)
    while not kafka.paused.is_set():
        await clock.advance(FULL_SECONDS)
    assert not kafka.resumed.is_set()
    await _receive(consumer, BUFFER // 2)
    assert await asyncio.to_thread(kafka.resumed.wait, 10.0)
    await consumer.close(10.0)
