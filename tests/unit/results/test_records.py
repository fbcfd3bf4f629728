"""The records of reviews-raw and of the dead letters, and the schemas that are published of them."""

import json

import jsonschema
import pytest

from app.broker.transactions import OutRecord
from app.cli.events_reference import asyncapi, topics
from app.models.events import Topic
from app.results.records import records
from app.store.outbox import Batch, Letter, Page, Tombstone

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
RAW = b'{ "reviewId": "AbF",\n  "comment": "half \\ud83d, \\u0000",  "unknown": [1.0, 1e3] }'
ROW = (7, "AbF", 5, "half \ufffd", "A. Guest", "2024-01-01T00:00:00Z", None, None, RAW)
LETTER = Letter(8, "acme", "job-1", 3, "reviews", "locations/1", "server_error", "500", 4, "page-2", 1_700_000_000.0)


def batch(tenant: str = "default") -> Batch:
    page = Page(7, tenant, "job-1", "accounts/1", "locations/1", 1_700_000_000.5)
    return Batch(8, {7: page}, [ROW], [LETTER], False)


def made(tenant: str = "default") -> list[OutRecord]:
    return list(records(batch(tenant), "prefix-"))


def value_of(record: OutRecord) -> bytes:
    assert record.value is not None
    return record.value


def test_google_s_object_is_in_the_message_byte_for_byte() -> None:
    review, _ = made()
    assert RAW in value_of(review)
    message = json.loads(value_of(review))["message"]
    assert (message["type"], message["job_id"], message["rating"], message["reply"]) == ("review", "job-1", 5, None)


@pytest.mark.parametrize(
    ("tenant", "key"), [("default", "locations/1/reviews/AbF"), ("acme", "acme/locations/1/reviews/AbF")]
)
def test_a_review_is_keyed_by_its_name_within_its_tenant(tenant: str, key: str) -> None:
    review, _ = made(tenant)
    envelope = json.loads(value_of(review))
    assert (review.topic, review.key.decode(), envelope["key"]) == ("prefix-reviews-raw", key, key)
    assert envelope["message_id"] == f"reviews-raw_job-1_{key}"
    assert dict(review.headers)["message_id"] == envelope["message_id"].encode()


def test_a_record_that_is_sent_again_is_the_same() -> None:
    assert made() == made()


def test_messages_of_a_traced_job_name_its_span_and_others_have_no_such_header() -> None:
    assert not [record for record in made() if "traceparent" in dict(record.headers)]
    page = batch().pages[7]._replace(traceparent=TRACEPARENT)
    traced = batch()._replace(pages={7: page}, letters=[LETTER._replace(traceparent=TRACEPARENT)])
    found = list(records(traced, ""))
    assert [dict(record.headers)["traceparent"] for record in found] == [TRACEPARENT] * 2
    described = asyncapi()["components"]["messageTraits"]["headers"]["headers"]
    assert "traceparent" in described["properties"]
    assert "traceparent" not in described["required"]


def test_a_dead_letter_says_what_was_given_up_and_why() -> None:
    _, letter = made()
    assert (letter.topic, letter.key) == ("prefix-review-fetcher-dlq", b"acme/job-1")
    assert dict(letter.headers)["cause"] == b"server_error"
    assert json.loads(value_of(letter))["message"]["cursor"] == "page-2"


def test_the_published_schemas_describe_them() -> None:
    for record, topic in zip(made(), (Topic.REVIEWS_RAW, Topic.DEAD_LETTERS), strict=True):
        schema = topics()[topic].schema
        envelope = json.loads(value_of(record))
        jsonschema.validate(envelope, schema)
        del envelope["message"]["job_id"]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(envelope, schema)


def test_tombstones_and_reviews_come_by_position_and_hold_their_key_alone() -> None:
    graves = [Tombstone(position, "acme", "locations/1", "AbF", 1_700_000_001.0) for position in (6, 9)]
    before, review, behind = records(batch("acme")._replace(tombstones=graves, letters=[]), "prefix-")
    assert [before.key, review.key, behind.key] == [b"acme/locations/1/reviews/AbF"] * 3
    assert (before.value, behind.value) == (None, None)
    assert value_of(review)
    described = asyncapi()["channels"]["reviews-raw"]["messages"]["tombstone"]["headers"]
    headers = {name: bytes(value or b"").decode() for name, value in before.headers if not isinstance(value, str)}
    jsonschema.validate(headers, described)
    assert headers["message_id"] == "tombstone_2023-11-14T22:13:21+00:00_acme/locations/1/reviews/AbF"
