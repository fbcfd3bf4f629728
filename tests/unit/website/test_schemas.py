"""JSON Schema in words."""

from typing import Any

import pytest

from website.schemas import meaning_of, properties_table, value_of


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "minLength": 1, "maxLength": 200}, "text (1 to 200 characters)"),
        ({"type": "string", "format": "date-time"}, "time (RFC 3339)"),
        ({"type": "integer", "minimum": 0.0}, "whole number (from 0)"),
        ({"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, "whole number (from 1)"),
        ({"type": "number", "maximum": 0.5}, "number (up to 0.5)"),
        ({"anyOf": [{"type": "null"}, {"$ref": "#/components/schemas/JobView"}]}, "[JobView](t.md#jobview) or null"),
        ({"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}, "date or time (RFC 3339)"),
        ({"type": "array", "maxItems": 9, "items": {"enum": ["a", "b"]}}, "list of one of `a`, `b` (up to 9 of them)"),
        ({"enum": ["reviews-raw"]}, "`reviews-raw`"),
        ({"const": True}, "`true`"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, "object of `true` or `false`"),
        ({}, "anything"),
    ],
)
def test_a_value_is_told_in_words(schema: dict[str, Any], words: str) -> None:
    assert value_of(schema, "t.md") == words


def test_a_meaning_tells_what_holds_when_nothing_is_said() -> None:
    assert meaning_of({"description": "Items\non a page.", "default": 100}) == "Items on a page. Default: `100`."


def test_a_table_has_a_row_for_each_property_and_keeps_its_columns() -> None:
    schema = {"required": ["id"], "properties": {"id": {"type": "string", "pattern": "a|b"}, "more": {}}}
    *_, required, optional = properties_table(schema, "").splitlines()
    assert required == r"| `id` | text (`a\|b`) |  |"
    assert optional == "| `more` (optional) | anything |  |"
