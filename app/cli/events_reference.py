"""The messages of the topics as JSON Schema and AsyncAPI, made from the types that write and read them.

`python -m app.cli.reference` writes them; a test compares, and holds real messages to them.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from pydantic.json_schema import models_json_schema

from app.models.events import Envelope, FetchAccountsEvent, FetchLocationsEvent, FetchReviewsEvent, Topic
from app.results.records import TOMBSTONE_TYPE, DeadLetterEnvelope, ReviewEnvelope

ASYNCAPI = Path("docs/asyncapi.json")
SCHEMAS = Path("docs/schemas")
EVENTS = Path("docs/events.md")

DIALECT = "https://json-schema.org/draft/2020-12/schema"
HEADERS = {
    "message_id": "the envelope's message_id",
    "type": "the message's type",
    "content-type": "application/json",
}
TRACEPARENT = "the span that the message belongs to, where its job is traced (W3C Trace Context)"


class _Described(NamedTuple):
    key: str
    sends: str
    schema: dict[str, Any]


def topics() -> dict[Topic, _Described]:
    """Topic → its key, who sends to it, and the schema of a message's value."""
    return {
        Topic.FETCH_ACCOUNTS: _Described("job id", "the scheduler", _work_schema(FetchAccountsEvent)),
        Topic.FETCH_LOCATIONS: _Described("account", "the scheduler", _work_schema(FetchLocationsEvent)),
        Topic.FETCH_REVIEWS: _Described("location", "the scheduler", _work_schema(FetchReviewsEvent)),
        Topic.REVIEWS_RAW: _Described("location and review", "the publisher", _struct_schema(ReviewEnvelope)),
        Topic.DEAD_LETTERS: _Described("job id", "the publisher", _struct_schema(DeadLetterEnvelope)),
    }


def _struct_schema(envelope: type[msgspec.Struct]) -> dict[str, Any]:
    return {"$schema": DIALECT, **msgspec.json.schema(envelope)}


def _work_schema(event: type[Any]) -> dict[str, Any]:
    """The envelope, with this one kind of work in it."""
    _, schema = models_json_schema([(Envelope, "serialization"), (event, "serialization")])
    kinds = schema["$defs"]
    envelope = kinds["Envelope"]
    envelope["properties"]["message"] = {"$ref": f"#/$defs/{event.__name__}"}
    used = {name: kinds[name] for name in ("Topic", event.__name__)}
    return {"$schema": DIALECT, **envelope, "$defs": used}


def asyncapi() -> dict[str, Any]:
    """The AsyncAPI document; payloads are references to the schemas beside it."""
    described = topics()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Review Fetcher",
            "version": "1.0.0",
            "description": "What the service sends over Kafka. With KAFKA_TOPIC_PREFIX every address begins with it.",
        },
        "channels": {topic.value: _channel(topic) for topic in described},
        "operations": {
            f"send-{topic}": {
                "action": "send",
                "channel": {"$ref": f"#/channels/{topic}"},
                "summary": f"Sent by {described[topic].sends}; key: {described[topic].key}.",
            }
            for topic in described
        },
        "components": {"messageTraits": {"headers": {"headers": _headers(), "contentType": "application/json"}}},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    payload = {
        "schemaFormat": "application/schema+json;version=draft-2020-12",
        "schema": {"$ref": f"schemas/{topic}.json"},
    }
    message = {"name": topic.value, "traits": [{"$ref": "#/components/messageTraits/headers"}], "payload": payload}
    messages = {topic.value: message}
    if topic is Topic.REVIEWS_RAW:
        messages["tombstone"] = _tombstone()
    return {"address": topic.value, "messages": messages}


def _tombstone() -> dict[str, Any]:
    properties = {"message_id": {"type": "string"}, "type": {"const": TOMBSTONE_TYPE.decode()}}
    return {
        "name": "tombstone",
        "summary": "The review with this key was erased. The value is null.",
        "headers": {"type": "object", "properties": properties, "required": list(properties)},
        "payload": {"type": "null"},
    }


def _headers() -> dict[str, Any]:
    meanings = {**HEADERS, "traceparent": TRACEPARENT}
    properties = {name: {"type": "string", "description": meaning} for name, meaning in meanings.items()}
    return {"type": "object", "properties": properties, "required": list(HEADERS)}


def topics_table() -> str:
    """Markdown: topic, key, sender, schema."""
    rows = [
        f"| `{topic}` | {described.key} | {described.sends} | [schema](schemas/{topic}.json) |"
        for topic, described in topics().items()
    ]
    return "\n".join(["| Topic | Key | Sent by | Value |", "|---|---|---|---|", *rows]) + "\n"


def documents() -> dict[Path, str]:
    """File → its whole text, for the documents that are made from the code alone."""
    texts = {SCHEMAS / f"{topic}.json": described.schema for topic, described in topics().items()}
    texts[ASYNCAPI] = asyncapi()
    return {path: json.dumps(value, indent=2) + "\n" for path, value in texts.items()}
