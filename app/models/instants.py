"""Times as Google and callers write them (RFC 3339), as numbers that compare."""

import re
from datetime import UTC, datetime

NANOSECONDS = 1_000_000_000
"""In a second. Google documents up to nine digits behind it."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def instant_of(text: str) -> int | None:
    """Nanoseconds since 1970 of an RFC 3339 time; None for any other text. Digits beyond the ninth are dropped."""
    found = _RFC3339.fullmatch(text.upper())
    if found is None:
        return None
    day, time, fraction, offset = found.groups()
    try:
        since_epoch = datetime.fromisoformat(f"{day}T{time}{offset}") - _EPOCH
    except ValueError:
        return None
    seconds = since_epoch.days * 86_400 + since_epoch.seconds
    return seconds * NANOSECONDS + int((fraction or "0")[:9].ljust(9, "0"))


def begin_of(text: str) -> int | None:
    """The same; a date is its first instant in UTC."""
    return instant_of(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
