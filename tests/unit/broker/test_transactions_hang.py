"""A call of Kafka's client that never ends: librdkafka's `send_offsets_to_transaction`, whose timeout it may ignore."""

import time
from collections.abc import Iterator
from threading import Event
from threading import enumerate as threads
from typing import Any

import pytest

from app.broker import transactions
from app.broker.base import BrokerUnavailableError
from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.transactions import Reached, TransactionalProducer
from app.clock import SystemClock

DEADLINE = 0.2
REACHED = Reached("cluster", "topic", 7)


class Hanging:
    """In place of librdkafka's producer, which does this once in some restarts of a broker: not at will."""

    def __init__(self) -> None:
        self.let_go = Event()

    def __len__(self) -> int:
        return 0

    def send_offsets_to_transaction(self, *_: Any) -> None:
        self.let_go.wait()

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    client = Hanging()
    monkeypatch.setattr(transactions, "Producer", lambda *_, **__: client)
    monkeypatch.setattr(TransactionalProducer, "_committed", lambda *_: REACHED.position)
    monkeypatch.setattr(TransactionalProducer, "_identity", lambda *_: (REACHED.cluster_id, REACHED.topic_id))
    yield client
    client.let_go.set()


def producer() -> TransactionalProducer:
    nobody = KafkaConnection("127.0.0.1:1")
    return TransactionalProducer(nobody, "name", "reviews-raw", TopicLayout(), SystemClock(), deadline=DEADLINE)


async def test_a_call_that_never_ends_is_a_broker_that_is_away_and_the_next_life_goes_on(hanging: Hanging) -> None:
    stuck = producer()
    assert await stuck.start() == REACHED
    began = time.monotonic()
    with pytest.raises(BrokerUnavailableError, match="has not come back"):
        await stuck.send([], 8)
    with pytest.raises(BrokerUnavailableError, match="has not come back"):
        await stuck.identity()
    await stuck.close()
    assert time.monotonic() - began < 10
    following = producer()
    assert await following.start() == REACHED
    await following.close()


async def test_a_call_that_never_ends_does_not_hold_up_the_end_of_the_process(hanging: Hanging) -> None:
    stuck = producer()
    await stuck.start()
    with pytest.raises(BrokerUnavailableError):
        await stuck.send([], 8)
    await stuck.close()
    left = [thread for thread in threads() if thread.name == "kafka-transactions"]
    assert left
    assert all(thread.daemon for thread in left)
