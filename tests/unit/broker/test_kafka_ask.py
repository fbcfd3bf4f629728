"""A question to Kafka that died with one broker is put to another; how many copies must have a message."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from app.broker.base import BrokerUnavailableError
from app.broker.connection import KafkaConnection
from app.broker.kafka_publisher import ASKED_TIMES, KafkaEventPublisher
from app.broker.topics import in_sync_of
from app.clock import SystemClock


class Client:
    """Stands for librdkafka's producer: so many questions get no answer."""

    def __init__(self, unanswered: int) -> None:
        self.timeouts: list[float] = []
        self._unanswered = unanswered

    def list_topics(self, _topic: str, timeout: float) -> None:
        self.timeouts.append(timeout)
        if len(self.timeouts) <= self._unanswered:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

    def poll(self, _seconds: float) -> int:
        return 0


def asked(monkeypatch: pytest.MonkeyPatch, client: Any) -> None:
    publisher = KafkaEventPublisher(KafkaConnection("127.0.0.1:9"), SystemClock(), deadline=1.0)
    monkeypatch.setattr(publisher, "_usable", lambda: client)
    publisher.ask("topic", 5.0)


def test_a_question_that_died_with_a_broker_is_asked_again_within_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(unanswered=1)
    asked(monkeypatch, client)
    assert client.timeouts == [2.5, 2.5]


def test_a_kafka_that_never_answers_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(unanswered=ASKED_TIMES)
    with pytest.raises(BrokerUnavailableError):
        asked(monkeypatch, client)
    assert len(client.timeouts) == ASKED_TIMES


@pytest.mark.parametrize(("copies", "in_sync"), [(1, 1), (2, 1), (3, 2), (5, 2)])
def test_one_broker_may_be_away_and_a_message_that_counts_as_sent_is_on_two(copies: int, in_sync: int) -> None:
    assert in_sync_of(copies) == in_sync
