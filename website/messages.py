"""The messages on Kafka, one topic after another: a page made from their JSON Schemas."""

from collections.abc import Mapping
from typing import Any

from website.schemas import cell, meaning_of, value_of

HEAD = """# Messages, field by field

Made from the JSON Schemas of the topics. [Messages on Kafka](../events.md) says what they mean and how to read each
once; [asyncapi.json](../asyncapi.json) is the same for programs.
"""


def messages_page(schemas: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: topic → the fields of its messages. Nested objects stand in line, by their path."""
    return HEAD + "".join(_topic(topic, schema) for topic, schema in schemas.items())


def _topic(topic: str, schema: Mapping[str, Any]) -> str:
    definitions = schema.get("$defs", {})
    rows = ["| Field | Value | Meaning |", "|---|---|---|", *_rows("", _resolved(schema, definitions), definitions)]
    head = f"\n## {topic}\n\n[JSON Schema](../schemas/{topic}.json)\n\n"
    return head + "\n".join(rows) + "\n"


def _rows(path: str, schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[str]:
    rows = []
    required = set(schema.get("required", ()))
    for name, told in schema["properties"].items():
        value = _resolved(told, definitions)
        mark = "" if name in required else " (optional)"
        words = "object" if "properties" in value else value_of(value, "")
        rows.append(f"| `{path}{name}`{mark} | {cell(words)} | {cell(meaning_of(value))} |")
        if "properties" in value:
            rows += _rows(f"{path}{name}.", value, definitions)
    return rows


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    return definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
