"""What validators ask beyond single fields, told in JSON Schema."""

from collections.abc import Callable
from typing import Any, Literal


def needs(which: Literal["anyOf", "oneOf"], **kinds: str) -> Callable[[dict[str, Any]], None]:
    """For `json_schema_extra`: that some of these fields, or one of them, is there and of this type (so not null)."""
    ways = [{"required": [name], "properties": {name: {"type": kind}}} for name, kind in kinds.items()]

    def extend(schema: dict[str, Any]) -> None:
        schema[which] = ways

    return extend
