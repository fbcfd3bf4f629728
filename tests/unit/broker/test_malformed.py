"""Thousands of messages that are no work, through the consumer's own reading of them: each ends in one place.

OWASP ASVS 5.0 V2 (validation of what comes in): who may write to a topic is not trusted to write what belongs there.
"""

import json
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, cast

import pytest
from confluent_kafka import Message

from app.broker.base import Delivery
from app.broker.envelope import envelope_of
from app.broker.kafka_consumer import KafkaConsumer, Source, _Member
from app.broker.kafka_publisher import KafkaEventPublisher, Record
from app.broker.poison import CAUSE_LENGTH, KEY_BYTES, VALUE_BYTES, DeadLetterTopic
from app.models.events import TOPIC_OF, Topic
from app.models.job import Stage, Work
from tests.support.clock import ManualClock
from tests.support.malformed import malformed

MESSAGES = 10_000
GOOD = range(1, 2 * MESSAGES, 2)
TOPIC = "fetch-reviews"
STAGE = Stage.REVIEWS


class DeadLetters:
    """What would be sent; each is taken at once."""

    def __init__(self) -> None:
        self.records: list[Record] = []

    def send_soon(self, record: Record, delivered: Callable[[None], None]) -> None:
        for name, value in record.headers.items():
            name.encode()
            assert "\n" not in value.encode().decode()
        self.records.append(record)
        delivered(None)


def test_ten_thousand_malformed_messages_are_each_buried_or_are_work_and_good_ones_pass() -> None:
    taken, buried = read(seed=6, count=MESSAGES)
    assert taken.keys() | buried.keys() == set(range(2 * MESSAGES)), "each ends somewhere"
    assert not taken.keys() & buried.keys(), "and in one place"
    assert taken.keys() >= set(GOOD), "good work among them passes"
    assert len(buried) > 0.9 * MESSAGES, "most are no work"
    causes = Counter(record.headers["cause"].partition(":")[0] for record in buried.values())
    assert len(causes) > 3


@pytest.mark.nightly
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("seed", range(20))
def test_many_more_malformed_messages(seed: int) -> None:
    taken, buried = read(seed=1_000 + seed, count=MESSAGES)
    assert taken.keys() | buried.keys() == set(range(2 * MESSAGES))
    assert taken.keys() >= set(GOOD)


def read(seed: int, count: int) -> tuple[dict[int, Work], dict[int, Record]]:
    """What was handed over and what was buried, by offset; behind each bad message comes a good one."""
    random, letters = Random(seed), DeadLetters()
    dead_letters = DeadLetterTopic(cast(KafkaEventPublisher, letters), Topic.DEAD_LETTERS, ManualClock())
    source = Source({}, TOPIC, STAGE)
    member = _Member(source, dead_letters, ManualClock(), buffer=64, owner=cast(KafkaConsumer, None))
    bodies = [body(stage) for stage in Stage]
    taken: dict[int, Work] = {}
    for offset in range(0, 2 * count, 2):
        work = Work(offset + 1, 1, STAGE, "default", "job-1", "locations/1", "accounts/1", "Shop")
        for place, value in ((offset, bad(random, bodies)), (offset + 1, body(STAGE, work))):
            for delivery in member._accept(message(random, place, value)):
                taken[place] = checked(delivery)
        assert taken[offset + 1] == work
    buried = {int(record.headers["source_offset"]): record for record in letters.records}
    assert len(buried) == len(letters.records), "none is buried twice"
    assert {position.offset for position in positions(member)} == set(buried), "what is buried is finished"
    for record in buried.values():
        assert record.value is None or len(record.value) <= VALUE_BYTES
        assert record.key is None or len(record.key) <= KEY_BYTES
        assert 0 < len(record.headers["cause"]) <= CAUSE_LENGTH + 1
    return taken, buried


def positions(member: _Member) -> list[Any]:
    return [member.finished.get_nowait() for _ in range(member.finished.qsize())]


def checked(delivery: Delivery) -> Work:
    """Whatever it says: a claim takes its numbers, and a log its words."""
    work = delivery.work
    assert work.stage is STAGE
    assert 1 <= work.task_id < 2**63
    assert 0 <= work.version < 2**63
    "".join((work.job_id, work.tenant, work.resource, work.account, work.title)).encode()
    return work


def body(stage: Stage, work: Work | None = None) -> bytes:
    given = work or Work(7, 1, stage, "default", "job-1", "locations/1", "accounts/1", "Shop")
    return envelope_of(given, 0.0).model_dump_json().encode()


def bad(random: Random, bodies: list[bytes]) -> bytes | None:
    if random.random() < 0.02:
        return None
    if random.random() < 0.01:
        return random.choice((b"x" * 1_000_000, b"[" * 500_000, json.dumps({"message": "x" * 950_000}).encode()))
    return malformed(random, bodies)


def message(random: Random, offset: int, value: bytes | None) -> Message:
    key = random.choice((None, b"", b"accounts/1", b"\xff" * 20, b"k" * 20_000))
    headers: Any = random.choice((None, [("type", b"\xff\xfe")], [("", None)], [("message_id", b"x" * 10_000)]))
    return Message(topic=TOPIC, partition=0, offset=offset, key=key, value=value, headers=headers)


def test_the_topic_is_that_of_the_stage() -> None:
    assert TOPIC_OF[STAGE] == TOPIC
