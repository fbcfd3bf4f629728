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
_SKIPPER = json.JSONDecoder(parse_int=float)


def load_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`; a `GoogleAPIError` (transient) when it holds anything else."""
    try:
        document = json.loads(body.decode(), parse_int=_whole_number, parse_constant=_refuse_constant)
    except RecursionError:
        failure = broken_answer("invalid_json", "nested too deeply to be read")
    except ValueError as error:
        failure = broken_answer("cut", "cut off") if _is_cut(error, body) else broken_answer("invalid_json")
    else:
        if isinstance(document, dict):
            return document
        failure = broken_answer("invalid_json", "not a JSON object")
    raise failure


def list_in(document: dict[str, Any], key: str) -> list[Any]:
    """The list under `key`, [] when Google left it out; a `GoogleAPIError` (transient) for anything but a list."""
    value = document.get(key)
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise broken_answer("invalid_json", f"{key} is not a list")


def page_token_in(document: dict[str, Any]) -> str | None:
    """nextPageToken, None on the last page. One that cannot be sent back as it came is a broken answer: ending the
    list there would lose the rest without a word.
    """
    value = document.get("nextPageToken")
    if value is None or value == "":
        return None
    if isinstance(value, str) and not _UNSTORABLE.search(value):
        return value
    raise broken_answer("invalid_json", "nextPageToken is not a usable text")


def text_or_none(value: object) -> str | None:
    """A text that a database column and UTF-8 can hold; None for anything but a text."""
    return _UNSTORABLE.sub("\ufffd", value) if isinstance(value, str) else None


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
