"""Whatever a topic holds, decoding answers work or says in words that fit a header why it is none."""

import json
from typing import Any

import pytest
from confluent_kafka import Message
from hypothesis import example, given
from hypothesis import strategies as st

from app.broker.envelope import PoisonMessageError, decode, envelope_of
from app.broker.kafka_publisher import KafkaEventPublisher, Record
from app.broker.poison import CAUSE_LENGTH, KEY_BYTES, VALUE_BYTES, DeadLetterTopic, Poison
from app.clock import SystemClock
from app.models.access import MOST_WEIGHT
from app.models.job import Stage, Work

WORK = Work(7, 2, Stage.REVIEWS, "tenant-1", "job-1", "locations/7", "accounts/1", "Häuser & Söhne")
GOOD = envelope_of(WORK, 0.0).model_dump(mode="json")

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    """A good message with something else in one or two places."""
    envelope: dict[str, Any] = json.loads(json.dumps(GOOD))
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from([envelope, envelope["message"]])) if envelope.get("message") else envelope
        if isinstance(place, dict):
            place[draw(st.sampled_from(sorted(place)) | st.text())] = draw(_json)
    return json.dumps(envelope).encode("utf-8", "surrogatepass")


@given(st.none() | st.binary() | _json.map(lambda value: json.dumps(value).encode()) | _damaged())
@example(b"[" * 100_000)
@example(b'{"topic": "\\ud800"}')
@example(b'{"task_id": ' + b"9" * 10_000 + b"}")
@example(json.dumps(GOOD | {"message": {"type": "\ud800" * 3}}).encode())
def test_a_value_is_work_or_poison_and_nothing_else(value: bytes | None) -> None:
    try:
        decode(value)
    except PoisonMessageError as poison:
        cause = _headers(str(poison))["cause"]
        assert 0 < len(cause.encode()) <= 4 * (CAUSE_LENGTH + 1)
        assert cause.isprintable()


@given(
    st.builds(
        Work,
        st.integers(1, 2**63 - 1),
        st.integers(0, 2**63 - 1),
        st.just(Stage.REVIEWS),
        *[st.text(st.characters(exclude_categories=["Cs"]))] * 5,
        st.integers(1, MOST_WEIGHT),
        st.none(),  # travels in a header
    )
)
def test_work_comes_back_as_it_went(work: Work) -> None:
    assert decode(envelope_of(work, 0.0).model_dump_json().encode()) == work


@pytest.mark.parametrize("version", [0, 2, "two", None])
def test_a_version_that_nobody_knows_is_poison(version: object) -> None:
    with pytest.raises(PoisonMessageError, match="schema_version"):
        decode(json.dumps(GOOD | {"schema_version": version}).encode())


def test_a_message_from_before_versions_is_work() -> None:
    before = {name: value for name, value in GOOD.items() if name != "schema_version"}
    assert decode(json.dumps(before).encode()) == WORK


def test_what_a_later_version_may_add_is_ignored() -> None:
    assert decode(json.dumps(GOOD | {"added": 1, "message": GOOD["message"] | {"added": {}}}).encode()) == WORK


def test_the_cause_names_what_is_wrong() -> None:
    message = GOOD["message"] | {"task_id": 0}
    with pytest.raises(PoisonMessageError, match="task_id"):
        decode(json.dumps(GOOD | {"message": message}).encode())


class Outbox(KafkaEventPublisher):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[Record] = []

    def send_soon(self, record: Record, delivered: object) -> None:
        self.sent.append(record)


def _buried(cause: str, key: bytes = b"", value: bytes = b"") -> Record:
    outbox = Outbox()
    message = Message(topic="fetch-reviews", partition=0, offset=1, key=key, value=value)
    DeadLetterTopic(outbox, "letters", SystemClock()).bury(Poison(message, cause, lambda: None))
    (record,) = outbox.sent
    return record


def _headers(cause: str) -> dict[str, str]:
    return _buried(cause).headers


def test_what_is_too_large_for_the_dead_letter_topic_is_cut_and_says_so() -> None:
    record = _buried("too large", key=b"k" * 500_000, value=b"v" * 1_048_000)
    assert record.key == b"k" * KEY_BYTES
    assert record.value == b"v" * VALUE_BYTES
    assert record.headers["value_bytes"] == "1048000"
    assert KEY_BYTES + VALUE_BYTES < 1_000_000, "librdkafka's and Kafka's own limits of a message"
