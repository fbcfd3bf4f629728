"""Opaque page tokens, each valid only for the request that it was handed out for."""

import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import blake2b
from typing import NamedTuple

_LAYOUT = struct.Struct(">IH")
_SEAL_BYTES = 9
_KEY = b"review-fetcher simulator pages"


class Position(NamedTuple):
    """Where a page starts. `copy` tells apart tokens that lead to the same offset."""

    offset: int = 0
    copy: int = 0


class PageTokenError(ValueError):
    """Not a token of this request: made up, cut, or handed out for another parent, order or page size."""


def encode(position: Position, binding: str) -> str:
    """A token of 20 characters that `decode` accepts with the same binding only."""
    plain = _LAYOUT.pack(position.offset, position.copy & 0xFFFF)
    return urlsafe_b64encode(plain + _seal(plain, binding)).decode()


def decode(token: str, binding: str) -> Position:
    """The position in a token; the first page for an empty one. Raises PageTokenError."""
    if not token:
        return Position()
    try:
        raw = urlsafe_b64decode(token)
    except (Base64Error, ValueError) as error:
        raise PageTokenError from error
    plain = raw[: _LAYOUT.size]
    if len(raw) != _LAYOUT.size + _SEAL_BYTES or raw[_LAYOUT.size :] != _seal(plain, binding):
        raise PageTokenError
    return Position(*_LAYOUT.unpack(plain))


def _seal(plain: bytes, binding: str) -> bytes:
    return blake2b(plain + binding.encode(), digest_size=_SEAL_BYTES, key=_KEY).digest()
