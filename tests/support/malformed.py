"""Messages that are wrong in every way that a seed finds: real ones cut, bent, blown up and mixed."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 2**31, 2**63, -(2**70), 10**30, 1e308, "", " ", "0", "-5", "1e9", "NaN", "\x00",
    "\ud800", "\udfff\ud800", "\U0001f600" * 3, "\u202egnihton", "a\r\nX-Header: b", "../..", "accounts/../x",
    "locations/1?x=", "x" * 5_000, [], {}, [[]], [None], [{}], {"": None}, {"a": {"b": [1]}}, ["x"] * 50,
)  # fmt: skip

FRAGMENTS = (
    b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 5_000, b"\xff\xfe", b"\xc3", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
    b"\xef\xbb\xbf", b"\x00", b'"\\ud800"', b'"\\u0000"', b"\\", b'"', b"{", b"}", b"[", b"]", b",", b":", b"null",
    b"//", b"<html>", b"\x1f\x8b", b"[" * 300, b'{"a":' * 300, b" " * 2_000, b"\r\n\r\n",
)  # fmt: skip

WHOLE = (
    b"", b" ", b"\n", b"\xef\xbb\xbf{}", b"null", b"true", b"0", b'""', b"[]", b"{}", b"[[]]", b"NaN",
    b"<!DOCTYPE html><p>Sorry", b"upstream connect error", b"{", b"}", b'{"', b"\x00" * 20, b"\xff" * 20, b")]}'\n{}",
    b"1" * 6_000, b"[" * 20_000, b'{"a":' * 20_000, b'{"reviews":' + b"[" * 20_000, b'{"error":' + b"[" * 20_000,
)  # fmt: skip


def malformed(random: Random, good: Sequence[bytes]) -> bytes:
    """One of the good ones, made wrong; now and then something that never was right."""
    if random.random() < 0.04:
        return random.choice(WHOLE)
    body = random.choice(good)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        body = random.choice(_CHANGES)(random, body)
    return body


def _cut(random: Random, body: bytes) -> bytes:
    return body[: random.randint(0, len(body))]


def _beheaded(random: Random, body: bytes) -> bytes:
    return body[random.randint(0, len(body)) :]


def _bent(random: Random, body: bytes) -> bytes:
    bent = bytearray(body)
    for _ in range(random.randint(1, 8)):
        if bent:
            bent[random.randrange(len(bent))] = random.randrange(256)
    return bytes(bent)


def _inserted(random: Random, body: bytes) -> bytes:
    at = random.randint(0, len(body))
    return body[:at] + random.choice(FRAGMENTS) + body[at:]


def _removed(random: Random, body: bytes) -> bytes:
    start, end = sorted(random.randint(0, len(body)) for _ in range(2))
    return body[:start] + body[end:]


def _doubled(random: Random, body: bytes) -> bytes:
    start, end = sorted(random.randint(0, len(body)) for _ in range(2))
    return body[:end] + body[start:]


def _other_encoding(random: Random, body: bytes) -> bytes:
    return body.decode("utf-8", "replace").encode(random.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7")))


def _replaced(random: Random, body: bytes) -> bytes:
    """Still JSON: one of its values is another one."""
    return _rewritten(random, body, lambda holder, place: holder.__setitem__(place, random.choice(ODD_VALUES)))


def _nested(random: Random, body: bytes) -> bytes:
    """Still JSON: one of its values is wrapped so often that a reader may run out of stack just there."""

    def wrap(holder: Any, place: Any) -> None:
        for _ in range(random.choice((1, 5, 100, 300))):
            holder[place] = [holder[place]] if random.random() < 0.5 else {"a": holder[place]}

    return _rewritten(random, body, wrap)


def _deep(random: Random, body: bytes) -> bytes:
    """One value nested to around the depth where Python gives up."""
    depth = random.randint(900, 1_010)
    opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return body.replace(b":", b":" + opening * depth + b"1" + closing * depth + b',"b":', 1)


def _key_twice(random: Random, body: bytes) -> bytes:
    if not body.startswith(b"{"):
        return body + body
    value = json.dumps(random.choice(ODD_VALUES)).encode()
    key = random.choice((b"reviews", b"accounts", b"locations", b"error", b"nextPageToken", b"topic", b"message"))
    member = b'"' + key + b'":' + value
    return b"{" + member + b"," + body[1:] if random.random() < 0.5 else body[:-1] + b"," + member + b"}"


def _rewritten(random: Random, body: bytes, change: Callable[[Any, Any], None]) -> bytes:
    try:
        document = json.loads(body)
        if places := _places(document):
            change(*random.choice(places))
        return json.dumps(document, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):  # an earlier change has left no JSON, or too deep a one
        return body[::-1]


def _places(document: Any) -> list[tuple[Any, Any]]:
    """Each list or object in it, with each index or key."""
    found: list[tuple[Any, Any]] = []
    left = [document]
    while left:
        holder = left.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        found += [(holder, key) for key in keys]
        left += [holder[key] for key in keys]
    return found


_CHANGES: tuple[Callable[[Random, bytes], bytes], ...] = (
    _cut, _beheaded, _bent, _inserted, _removed, _doubled, _other_encoding, _replaced, _replaced, _replaced, _nested,
    _deep, _key_twice,
)  # fmt: skip
