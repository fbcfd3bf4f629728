"""Durations as people write them: a number and a unit."""

import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

DAY_SECONDS = 86_400.0

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PATTERN = r"[0-9]{1,10}[smhdw]|0"
_DURATION = re.compile(_PATTERN)


class DurationError(ValueError):
    """A duration is a number and its unit: 90d, 24h, 30m, 45s; or 0."""

    def __init__(self) -> None:
        super().__init__(DurationError.__doc__)


def parse_duration(text: object) -> float:
    """Seconds. Raises DurationError for anything but text such as `90d`, `24h`, `30m`, `45s`, `2w` or `0`."""
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise DurationError
    return 0.0 if text == "0" else float(int(text[:-1]) * _UNITS[text[-1]])


def written_duration(seconds: float) -> str:
    """The text that `parse_duration` reads so many whole seconds from."""
    return f"{seconds:.0f}s"


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(written_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^({_PATTERN})$", "examples": ["90d", "24h", "30m"]}),
]
"""Seconds in Python, such a text in JSON."""
