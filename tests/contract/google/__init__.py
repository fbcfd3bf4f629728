"""Google's discovery documents, and a check of JSON against their schemas.

`mybusinessaccountmanagement.v1.json` and `mybusinessbusinessinformation.v1.json` are Google's own (revision 20261026,
as shipped in google-api-python-client 2.202.0). Google publishes no current document of the v4 API:
`mybusiness.v4.reviews-reconstructed.json` holds its review methods, put together from the v4 reference pages.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.(\d{3}|\d{6}|\d{9}))?Z")
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def document(name: str) -> dict[str, Any]:
    """A discovery document of this folder, by its file name without `.json`."""
    text = (Path(__file__).parent / f"{name}.json").read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


class Schemas:
    """The schemas of one discovery document."""

    def __init__(self, name: str) -> None:
        self._schemas = document(name)["schemas"]

    def violations(self, value: Any, schema: str) -> list[str]:
        """Where a value departs from a schema: unknown names, wrong types, unknown enum words, bad times."""
        return list(self._check(value, self._schemas[schema], schema))

    def _check(self, value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
        if "$ref" in schema:
            yield from self._check(value, self._schemas[schema["$ref"]], where)
            return
        wanted = _TYPES[schema["type"]]
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            yield f"{where}: {value!r} is no {schema['type']}"
        elif isinstance(value, list):
            for item in value:
                yield from self._check(item, schema["items"], f"{where}[]")
        elif isinstance(value, dict):
            yield from self._check_members(value, schema, where)
        else:
            yield from _check_word(value, schema, where)

    def _check_members(self, value: dict[str, Any], schema: dict[str, Any], where: str) -> Iterator[str]:
        for name, member in value.items():
            known = schema.get("properties", {}).get(name) or schema.get("additionalProperties")
            if known is None:
                yield f"{where}: unknown field {name}"
            else:
                yield from self._check(member, known, f"{where}.{name}")


def _check_word(value: Any, schema: dict[str, Any], where: str) -> Iterator[str]:
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is not among the words of the enum"
    if schema.get("format") == "google-datetime" and not _RFC3339.fullmatch(value):
        yield f"{where}: {value!r} is no RFC 3339 time with 0, 3, 6 or 9 digits"
