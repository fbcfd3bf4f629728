"""Reviews as JSON, NDJSON and CSV, with Google's object spliced in byte for byte."""

import csv as csv_module
import io
import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from app.store.review_pages import ReviewRow


class ReviewLine(Struct, frozen=True):
    """`ReviewView` as it is written: its fields in its order, `raw` as bytes that are JSON already."""

    job_id: str
    account: str
    location: str
    review_id: str
    name: str
    rating: int | None
    comment: str | None
    reviewer: str | None
    create_time: str | None
    update_time: str | None
    reply: str | None
    raw: Raw


COLUMNS = tuple(field.name for field in msgspec.structs.fields(ReviewLine) if field.name != "raw")
"""The columns of the CSV, in their order."""

_encoder = msgspec.json.Encoder()


def ndjson(rows: Sequence[ReviewRow]) -> bytes:
    """One object a line, each line ended."""
    return _encoder.encode_lines([_line(row) for row in rows])


def json_page(rows: Sequence[ReviewRow], **rest: Any) -> bytes:
    """`{"reviews": [...], ...rest}`."""
    return _encoder.encode({"reviews": [_line(row) for row in rows], **rest})


def csv_header() -> bytes:
    return _csv([COLUMNS])


def csv(rows: Sequence[ReviewRow]) -> bytes:
    """Without `raw`; a cell that a spreadsheet would take for a formula is quoted with a leading apostrophe."""
    return _csv([[_cell(value) for value in row[:-1]] for row in rows])


def _csv(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv_module.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(value: object) -> object:
    """Most cells begin with a letter or a digit, which is told in a tenth of the time."""
    is_formula = isinstance(value, str) and not value[:1].isalnum() and _FORMULA.match(value)
    return f"'{value}" if is_formula else value


_QUOTES = "\"'‘’“”"
_UNSEEN = (
    r"\s\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\ufe00-\ufe0f\ufeff\U000e0000-\U000e007f"
)
_SIGNS = r"=+\-@＝＋－＠﹦﹢﹣﹫−⁺⁻⁼₊₋₌"
_FORMULA = re.compile(rf"[{_QUOTES}{_UNSEEN}]*[{_SIGNS}]|'*[\t\r\n\x00]")
"""What makes a spreadsheet calculate (ASVS 5.0 1.2.10): also in its wide, small, raised and lowered forms, which
some make plain, and behind what some drop: spaces, control characters, quotes, characters that nobody sees.

Apostrophes are among them, so a text that begins like a quoted formula gets one more, and drops one to be itself again.
"""


def _line(row: ReviewRow) -> ReviewLine:
    return ReviewLine(*row[:-1], Raw(one_line(row.raw)))


def one_line(raw: bytes) -> bytes:
    """A JSON object in one line of UTF-8: unchanged if it is that already.

    A line break can stand only between the tokens of a JSON text, so there is no need to read it.
    """
    if b"\n" in raw or b"\r" in raw:
        raw = _BREAK.sub(b" ", raw)
    return raw if raw.isascii() else _utf8(raw)


_BREAK = re.compile(rb"[ \t]*[\r\n][ \t\r\n]*")


def _utf8(raw: bytes) -> bytes:
    """Surrogates that were encoded like characters become the escapes that JSON has for them."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        text = raw.decode(errors="surrogatepass") if _is_surrogates_only(raw) else raw.decode(errors="replace")
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
    return raw


_SURROGATE = re.compile("[\ud800-\udfff]")


def _is_surrogates_only(raw: bytes) -> bool:
    try:
        raw.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return False
    return True
