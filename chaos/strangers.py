"""Others on the same Kafka: who copies work messages, who joins the consumer groups, who writes what is no work."""

import asyncio
import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from app.models.events import TOPIC_OF, Topic
from app.models.job import Stage
from tests.support.kafka import read

GROUP = "review-fetcher-service"
"""KAFKA_CONSUMER_GROUP's default; each stage has a group of its own."""

STAY_SECONDS = 3.0
"""How long a foreign member stays in a group, and how long it stays away."""

POLL_SECONDS = 0.2
SECONDS = 20.0
COPY = "chaos-copy"


def settings(servers: str, **more: Any) -> dict[str, Any]:
    common = {"bootstrap.servers": servers, "reconnect.backoff.max.ms": 500, "log_level": 2}
    return common | {name.replace("_", "."): value for name, value in more.items()}


class Stranger(threading.Thread, ABC):
    """Works until `end`; what Kafka refuses meanwhile is tried again. `done` counts what it achieved."""

    def __init__(self, servers: str) -> None:
        super().__init__(name=type(self).__name__, daemon=True)
        self.servers = servers
        self.done = 0
        self.ready = threading.Event()
        self.ending = threading.Event()

    def run(self) -> None:
        while not self.ending.is_set():
            with suppress(KafkaException):
                self.work()

    @abstractmethod
    def work(self) -> None:
        """Returns when it is to end; begun again when Kafka refused something."""

    def end(self) -> None:
        self.ending.set()
        self.join(SECONDS)


class Copier(Stranger):
    """Puts a copy of every work message behind it, on the same partition."""

    def work(self) -> None:
        producer = Producer(settings(self.servers))
        consumer = Consumer(settings(self.servers, group_id="chaos-copier", enable_auto_commit=False))
        try:
            consumer.assign(ends(consumer))
            self.ready.set()
            while not self.ending.is_set():
                for message in consumer.consume(100, POLL_SECONDS):
                    self._copy(producer, message)
            producer.flush(SECONDS)
        finally:
            consumer.close()

    def _copy(self, producer: Producer, message: Message) -> None:
        headers = dict(message.headers() or [])
        if message.error() is None and COPY not in headers:
            topic, partition = str(message.topic()), message.partition() or 0
            marked = headers | {COPY: b"1"}
            producer.produce(topic, message.value(), message.key(), partition=partition, headers=marked)
            producer.poll(0)
            self.done += 1


def ends(consumer: Consumer) -> list[TopicPartition]:
    """The present end of every partition of work."""
    places = []
    for topic in TOPIC_OF.values():
        for number in consumer.list_topics(topic, timeout=SECONDS).topics[topic].partitions:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=SECONDS)
            places.append(TopicPartition(topic, number, end))
    return places


class ForeignMember(Stranger):
    """Joins the groups of all stages, gets partitions, reads from them, and leaves; again and again."""

    def work(self) -> None:
        members = [self._member(stage) for stage in Stage]
        try:
            until = time.monotonic() + STAY_SECONDS
            while time.monotonic() < until and not self.ending.is_set():
                for member in members:
                    member.poll(POLL_SECONDS / len(members))
            self.done += sum(len(member.assignment()) for member in members)
        finally:
            for member in members:
                member.close()
        self.ready.set()
        self.ending.wait(STAY_SECONDS)

    def _member(self, stage: Stage) -> Consumer:
        member = Consumer(
            settings(
                self.servers,
                group_id=f"{GROUP}-{stage.value}",
                partition_assignment_strategy="cooperative-sticky",
                enable_auto_commit=False,
                session_timeout_ms=10_000,
                heartbeat_interval_ms=1_000,
            )
        )
        member.subscribe([TOPIC_OF[stage].value])
        return member


def poison(number: int) -> Iterator[tuple[str, bytes | None]]:
    """Key and value of messages that are no work."""
    head = {"type": "fetch_reviews", "job_id": str(uuid4()), "task_id": 1, "version": 0, "created_at": "now"}
    event = head | {"account_id": "accounts/1", "location_id": "locations/1"}
    envelope = {"topic": "fetch-reviews", "key": "locations/1", "timestamp": "now", "message_id": "forged"}
    values = {
        "not-json": b"\xff\xfe{not json",
        "null": None,
        "no-envelope": b'{"job_id": "1"}',
        "unknown-type": json.dumps(envelope | {"message": event | {"type": "fetch_everything"}}).encode(),
        "bad-version": json.dumps(envelope | {"message": event | {"version": "newest"}}).encode(),
        "huge": b"x" * 1_000_000,
    }
    yield from ((f"poison-{number}-{name}", value) for name, value in values.items())


def forged(job_id: str, tasks: dict[int, int]) -> Iterator[bytes]:
    """Whole work messages for tasks that are held or do not exist, in the name of another job."""
    for task, version in [*tasks.items(), (2**62, 1)]:
        event = {"type": "fetch_reviews", "job_id": job_id, "task_id": task, "version": version, "created_at": "now"}
        message = event | {"account_id": "accounts/1", "location_id": "locations/1"}
        head = {"topic": "fetch-reviews", "key": "locations/1", "timestamp": "now", "message_id": f"forged-{task}"}
        yield json.dumps(head | {"message": message}).encode()


def send(servers: str, topic: str, messages: list[tuple[str, bytes | None]]) -> None:
    """Raises TimeoutError when Kafka has not taken them all."""
    producer = Producer(settings(servers, message_max_bytes=2_000_000))
    for key, value in messages:
        producer.produce(topic, value, key)
    if producer.flush(SECONDS):
        raise TimeoutError(f"{topic} did not take {len(messages)} messages")


def buried(servers: str) -> list[str]:
    """The keys of all poison on the dead-letter topic, each as often as it is there."""
    messages = asyncio.run(read(servers, Topic.DEAD_LETTERS.value))
    keys = [(message.key() or b"").decode() for message in messages]
    return [key for key in keys if key.startswith("poison-")]
