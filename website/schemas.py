"""JSON Schema in words: a table of properties, and what a value may be."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]

RANGES = (("minimum", "maximum", ""), ("minLength", "maxLength", " characters"), ("minItems", "maxItems", " of them"))
"""Least and most of something, and its unit."""

LARGEST = 2**53
"""Beyond it a limit is that of the column, and tells a reader nothing."""


def properties_table(schema: Schema, names: str) -> str:
    """Markdown: name, what it may be, what it means. `names` is the page with the types that it refers to, or ""."""
    required = set(schema.get("required", ()))
    rows = ["| Name | Value | Meaning |", "|---|---|---|"]
    for name, value in schema["properties"].items():
        mark = "" if name in required else " (optional)"
        rows.append(f"| `{name}`{mark} | {cell(value_of(value, names))} | {cell(meaning_of(value))} |")
    return "\n".join(rows) + "\n"


def meaning_of(schema: Schema) -> str:
    """What it says of itself, and the value that it has when it is left out."""
    text = " ".join(str(schema.get("description") or _inner_description(schema)).split())
    default = schema.get("default")
    return text if default in (None, [], "") else f"{text} Default: `{json.dumps(default)}`.".strip()


def _inner_description(schema: Schema) -> str:
    return next((inner["description"] for inner in schema.get("anyOf", ()) if "description" in inner), "")


def value_of(schema: Schema, names: str) -> str:
    """In words: "text", "one of `a`, `b`", "list of [Review](#review)", with limits."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}]({names}#{name.lower()})"
    if "const" in schema or "enum" in schema:
        return _listed(schema.get("enum") or [schema["const"]])
    if choices := schema.get("anyOf", schema.get("oneOf")):
        return _choice([{**_shared(schema), **choice} for choice in choices], names)
    limits = ", ".join(_limits(schema))
    return f"{_shape(schema, names)} ({limits})" if limits else _shape(schema, names)


def _listed(values: list[Any]) -> str:
    written = [f"`{value if isinstance(value, str) else json.dumps(value)}`" for value in values]
    return f"one of {', '.join(written)}" if written[1:] else written[0]


def _shape(schema: Schema, names: str) -> str:
    if schema.get("type") == "array":
        return f"list of {value_of(schema.get('items', {}), names)}"
    inner = schema.get("additionalProperties")
    return f"object of {value_of(inner, names)}" if isinstance(inner, dict) else _plain(schema)


def _shared(schema: Schema) -> dict[str, Any]:
    return {"type": schema["type"]} if "type" in schema else {}


def _choice(choices: list[dict[str, Any]], names: str) -> str:
    told = dict.fromkeys(value_of(choice, names) for choice in choices)
    return " or ".join([*(one for one in told if one != "null"), *(one for one in told if one == "null")])


PLAIN = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
FORMATS = {"date-time": "time (RFC 3339)", "date": "date", "uri": "URL", "binary": "bytes", "password": "secret text"}


def _plain(schema: Schema) -> str:
    kind = str(schema.get("type", "anything"))
    return FORMATS.get(schema.get("format", ""), PLAIN.get(kind, kind))


def _limits(schema: Schema) -> Iterator[str]:
    for least, most, unit in RANGES:
        if least in schema or most in schema:
            yield from _range(schema.get(least), schema.get(most), unit)
    if "pattern" in schema:
        yield f"`{schema['pattern']}`"


def _range(least: float | None, most: float | None, unit: str) -> Iterator[str]:
    above = most is None or most > LARGEST
    if least is not None and not above:
        yield f"{_number(least)} to {_number(most or 0)}{unit}"
    elif least is not None:
        yield f"from {_number(least)}{unit}"
    elif not above:
        yield f"up to {_number(most or 0)}{unit}"


def _number(limit: float) -> str:
    return f"{int(limit):,}" if limit == int(limit) else f"{limit:,}"


def cell(text: str) -> str:
    """As a table's cell takes it."""
    return text.replace("|", "\\|")
