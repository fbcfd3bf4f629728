"""What the Kafka adapters do when librdkafka itself gives up; no Kafka takes part."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Message

from app.broker import kafka_publisher
from app.broker.base import BrokerUnavailableError
from app.broker.connection import KafkaConnection
from app.broker.kafka_consumer import KafkaConsumer, Source
from app.broker.kafka_publisher import KafkaEventPublisher, Record
from app.broker.poison import RETRY_SECONDS, DeadLetterTopic, Poison
from app.clock import SystemClock
from app.models.job import Stage
from tests.support.clock import ManualClock

RECORD = Record("topic", b"key", b"value", {})


class FakeProducers:
    """Makes producers of which the first fails for good, as an idempotent producer does that lost its sequence."""

    def __init__(self) -> None:
        self.made: list[FakeProducer] = []

    def __call__(self, settings: Mapping[str, Any], logger: object) -> "FakeProducer":
        fatal = None if self.made else KafkaError(KafkaError._FATAL, "out of sequence", True)
        self.made.append(FakeProducer(fatal))
        return self.made[-1]


class FakeProducer:
    """Raises what is fatal out of the first `poll`, which then brings nothing else, as the real one does;
    tests/contract/test_kafka_fatal.py has that one."""

    def __init__(self, fatal: KafkaError | None) -> None:
        self._fatal = fatal
        self._told = False
        self._delivered: list[Callable[[KafkaError | None, object], None]] = []

    def produce(self, *_message: object, headers: object, on_delivery: Callable[..., None]) -> None:
        if self._fatal is not None and self._delivered:
            raise KafkaException(self._fatal)
        self._delivered.append(on_delivery)

    def purge(self) -> None:
        """What is answered by the next poll has failed."""

    def poll(self, _seconds: float) -> None:
        if self._fatal is not None and not self._told:
            self._told = True
            raise KafkaException(self._fatal)
        while self._delivered:
            self._delivered.pop()(self._fatal, None)

    def __len__(self) -> int:
        return len(self._delivered)


def test_a_producer_that_failed_for_good_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    producers = FakeProducers()
    monkeypatch.setattr(kafka_publisher, "Producer", producers)
    publisher = KafkaEventPublisher(KafkaConnection("nobody"), SystemClock(), deadline=5.0)
    with pytest.raises(BrokerUnavailableError, match="out of sequence"):
        publisher.send([RECORD])
    publisher.send([RECORD])
    publisher.send([RECORD])
    assert len(producers.made) == 2


def test_what_a_producer_had_when_it_failed_for_good_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    producers = FakeProducers()
    monkeypatch.setattr(kafka_publisher, "Producer", producers)
    publisher = KafkaEventPublisher(KafkaConnection("nobody"), SystemClock(), deadline=5.0)
    answers: list[KafkaError | None] = []
    publisher.send_soon(RECORD, answers.append)
    with pytest.raises(BrokerUnavailableError, match="out of sequence"):
        publisher.send_soon(RECORD, answers.append)
    assert answers == []
    publisher.send_soon(RECORD, answers.append)
    publisher.serve()
    assert [error is None for error in answers] == [False, True]


class FullPublisher(KafkaEventPublisher):
    """Takes nothing the first two times: refused at once, and then on its way."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(KafkaConnection("nobody"), clock, deadline=1.0)
        self.sent: list[Record] = []

    def send_soon(self, record: Record, delivered: kafka_publisher.Delivered) -> None:
        self.sent.append(record)
        if len(self.sent) == 1:
            raise BrokerUnavailableError("full")
        delivered(KafkaError(KafkaError._MSG_TIMED_OUT) if len(self.sent) == 2 else None)


async def test_poison_is_finished_only_when_the_dead_letter_topic_has_it() -> None:
    clock = ManualClock()
    publisher = FullPublisher(clock)
    letters = DeadLetterTopic(publisher, "letters", clock)
    done: list[int] = []
    message = Message(topic="fetch-reviews", partition=1, offset=7, key=b"k", value=b"junk")
    letters.bury(Poison(message, "no JSON", lambda: done.append(1)))
    for sent in (2, 3):
        letters.serve()
        assert (len(publisher.sent), done) == (sent - 1, [])
        await clock.advance(RETRY_SECONDS)
        letters.serve()
        assert len(publisher.sent) == sent
    await clock.advance(RETRY_SECONDS)
    letters.serve()
    assert (len(publisher.sent), len(done)) == (3, 1)
    assert publisher.sent[2].headers["message_id"] == "fetch-reviews_1_7"
    assert publisher.sent[2].value == b"junk"


class SharedPublisher(KafkaEventPublisher):
    """In the middle of its first message of a second round, another thread serves the same dead letters."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(KafkaConnection("nobody"), clock, deadline=1.0)
        self.taken = 0
        self.away = True
        self.meanwhile: Callable[[], None] | None = None

    def send_soon(self, record: Record, delivered: kafka_publisher.Delivered) -> None:
        if self.away:
            raise BrokerUnavailableError("away")
        self.taken += 1
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        delivered(None)


async def test_two_threads_that_try_the_same_poison_again_share_it() -> None:
    clock = ManualClock()
    publisher = SharedPublisher(clock)
    letters = DeadLetterTopic(publisher, "letters", clock)
    done: list[int] = []
    for offset in range(3):
        message = Message(topic="fetch-reviews", partition=1, offset=offset, key=b"k", value=b"junk")
        letters.bury(Poison(message, "no JSON", lambda: done.append(1)))
    await clock.advance(RETRY_SECONDS)
    publisher.away, publisher.meanwhile = False, letters.serve
    letters.serve()
    assert (publisher.taken, len(done)) == (3, 3)


async def test_whoever_receives_learns_that_reading_ended_and_may_ask_again() -> None:
    clock = SystemClock()
    publisher = KafkaEventPublisher(KafkaConnection("nobody"), clock, deadline=1.0)
    source = Source({"group.id": "group", "no.such.setting": "1"}, "fetch-reviews", Stage.REVIEWS)
    consumer = KafkaConsumer(source, DeadLetterTopic(publisher, "letters", clock), clock, buffer=8)
    for _ in range(2):
        async with asyncio.timeout(10):
            with pytest.raises(BrokerUnavailableError, match=r"no\.such\.setting"):
                await consumer.receive(1)
    await consumer.close(1.0)
