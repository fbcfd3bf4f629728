"""How numbers, times and texts are written on a page."""

import json
import re
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

EXCERPT = 600
"""Characters of a review in a list: all of nearly every one, and no list that one review fills."""


def number(value: float) -> str:
    """1,234; of a fraction one digit."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def moment(value: datetime) -> str:
    """2026-11-27 14:32:05, in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def clock(value: datetime) -> str:
    """14:32:05, in UTC: of what is near."""
    return f"{value.astimezone(UTC):%H:%M:%S}"


def google_moment(text: str | None) -> datetime | None:
    """A time as Google writes it; None for what is none."""
    try:
        value = datetime.fromisoformat(text or "")
        return value.astimezone(UTC) if value.tzinfo else None
    except (ValueError, OverflowError):
        return None


def machine(value: datetime) -> str:
    """The same for the attribute `datetime`."""
    return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def duration(seconds: float) -> str:
    """45 s, 12 min, 3 h 20 min, 2 days."""
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} s"
    if whole < 90 * 60:
        return f"{round(whole / 60)} min"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{round(whole / 86400)} days"


def words(name: str) -> str:
    """needs_token → needs token, http_503 → HTTP 503."""
    return re.sub(r"\bhttp\b", "HTTP", name.replace("_", " "))


def percent(part: float, whole: float) -> int:
    """Of the whole, 0 to 100; of nothing, nothing."""
    return 0 if whole <= 0 else max(0, min(100, round(100 * part / whole)))


def excerpt(text: str) -> str:
    """The beginning of a text that is too long for a list."""
    return text if len(text) <= EXCERPT else text[:EXCERPT] + "…"


def row_group(account: str | None) -> str:
    """Ends the id of a table's rows, where the tables of several accounts are on one page."""
    return "" if account is None else "-" + re.sub(r"[^A-Za-z0-9]", "-", account)


_LONG_RUN = re.compile(r"\S{200}(?![\u0300-\u036f\u200d\ufe00-\ufe0f])")


def breakable(text: str) -> Markup:
    """The text, escaped, with places to break words that are longer than any word: a browser needs many seconds to
    find them itself in a hundred thousand letters."""
    return Markup("<wbr>").join(part for part in _LONG_RUN.sub(lambda found: found[0] + "\0", text).split("\0"))


_UNSEEN = re.compile("[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]")


def readable_json(value: Any) -> str:
    """JSON to look at, over several lines. What cannot be seen, or turns the text around, stands as its escape."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


FILTERS = {
    function.__name__: function
    for function in (
        number,
        moment,
        clock,
        google_moment,
        machine,
        duration,
        words,
        excerpt,
        breakable,
        row_group,
        readable_json,
    )
}
