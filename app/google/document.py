"""JSON from Google read with care: slower than msgspec, and at home with what msgspec refuses.

That is lone surrogates (`"\\ud83d"`, half an emoji cut by somebody's text field), numbers out of range, and fields of
another type than documented. Text for columns has NUL and lone surrogates replaced by U+FFFD.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from app.google.errors import broken_answer

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_GAP = re.compile(r"[ \t\n\r,:]*")
# Longer whole numbers are no count of anything, and Python refuses to read more than 4,300 digits.
_MOST_DIGITS = 18
_SMALL_BODY = 256 * 1024
_MOST_VALUES = 200_000
"""Of JSON in one body: each costs up to 300 bytes once it is read. Fifty reviews full of commas have fewer."""
MOST_ITEMS = 1_000
"""In one page. Google is asked for 100 at most; each becomes a row of one transaction."""
_LONGEST_PAGE_TOKEN = 4_096
"""Characters: it travels in a URL, and is kept with its task."""
_LONGEST_TITLE = 500
"""Characters: a title travels in each work message of its task, which Kafka bounds."""
_SKIPPER = json.JSONDecoder(parse_int=float)


def load_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; a `GoogleAPIError` (transient) for anything else, and when it is an error itself."""
    refuse_swarm(body)
    try:
        document = json.loads(body.decode(), parse_int=_whole_number, parse_constant=_refuse_constant)
    except RecursionError:
        failure = broken_answer("invalid_json", "nested too deeply to be read")
    except ValueError as error:
        failure = broken_answer("cut", "cut off") if _is_cut(error, body) else broken_answer("invalid_json")
    else:
        if not isinstance(document, dict):
            failure = broken_answer("invalid_json", "not a JSON object")
        elif document.get("error") is not None:
            failure = broken_answer("invalid_json", "an error, and called itself a success")
        else:
            return document
    raise failure


def list_in(document: dict[str, Any], key: str) -> list[Any]:
    """The list under `key`, [] when Google left it out; a `GoogleAPIError` (transient) for anything but a list."""
    value = document.get(key)
    if value is None:
        return []
    if isinstance(value, list):
        refuse_crowd(len(value))
        return value
    raise broken_answer("invalid_json", f"{key} is not a list")


def refuse_swarm(body: bytes) -> None:
    """A `GoogleAPIError` (transient) for a body of a huge number of tiny values, before one of them is made."""
    if len(body) > _SMALL_BODY and sum(map(body.count, (b",", b"[", b"{"))) > _MOST_VALUES:
        raise broken_answer("too_many_values", f"made of more than {_MOST_VALUES:,} values")


def refuse_crowd(items: int) -> None:
    """A `GoogleAPIError` (transient) for a page of far more items than were asked for."""
    if items > MOST_ITEMS:
        raise broken_answer("too_many_items", f"a page of {items:,} items, far more than were asked for")


def page_token_in(document: dict[str, Any]) -> str | None:
    """nextPageToken, None on the last page. One that cannot be sent back as it came is a broken answer: ending the
    list there would lose the rest without a word.
    """
    value = document.get("nextPageToken")
    if value is None or value == "":
        return None
    if isinstance(value, str) and is_short_page_token(value) and not _UNSTORABLE.search(value):
        return value
    raise broken_answer("invalid_json", "with a nextPageToken that cannot be sent back")


def is_short_page_token(token: str | None) -> bool:
    """Whether a URL can carry it."""
    return token is None or len(token) <= _LONGEST_PAGE_TOKEN


def text_or_none(value: object) -> str | None:
    """A text that a database column and UTF-8 can hold; None for anything but a text."""
    return _UNSTORABLE.sub("\ufffd", value) if isinstance(value, str) else None


def title_in(document: dict[str, Any], key: str) -> str:
    """A name for people under `key`, cut when it is absurdly long; empty when there is none."""
    return (text_or_none(document.get(key)) or "")[:_LONGEST_TITLE]


def raw_items(body: bytes, key: str) -> list[bytes]:
    """The items of the list under `key` of a valid JSON object, each byte for byte as it stands in `body`."""
    # Latin-1 makes one character of each byte, so positions in the text are positions in the body; the characters
    # that JSON gives a meaning are the same.
    text = body.decode("latin-1")
    spans = [span for name, span in _members(text) if name == key]
    if not spans or text[spans[-1]] != "[":
        return []
    return [body[start:end] for start, end in _items(text, spans[-1])]


def _members(text: str) -> Iterator[tuple[str, int]]:
    """Key and place of the value, for each member of the object that `text` is."""
    at = _after_gap(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = _SKIPPER.raw_decode(text, at)
        at = _after_gap(text, at)
        yield key, at
        _, at = _SKIPPER.raw_decode(text, at)
        at = _after_gap(text, at)


def _items(text: str, at: int) -> Iterator[tuple[int, int]]:
    """Start and end of each item of the list that begins at `at`."""
    at = _after_gap(text, at + 1)
    while text[at] != "]":
        _, end = _SKIPPER.raw_decode(text, at)
        yield at, end
        at = _after_gap(text, end)


def _after_gap(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _is_cut(error: ValueError, body: bytes) -> bool:
    """Whether it reads as if the rest were missing."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg.startswith("Unterminated string") or error.pos >= len(error.doc.rstrip())
    return isinstance(error, UnicodeDecodeError) and error.end == len(body)
