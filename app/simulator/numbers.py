"""Arithmetic that makes a world from a seed: numbers that look random, and ids that can be turned back into numbers."""

from base64 import urlsafe_b64decode
from binascii import Error as Base64Error
from binascii import b2a_base64
from collections.abc import Callable

WORD = (1 << 64) - 1
_NUMERIC_MODULUS = 10**21  # account and location ids have up to 21 digits
_NUMERIC_FACTOR = 618_033_988_749_894_848_207  # odd and not divisible by 5, so it has an inverse
_NUMERIC_INVERSE = pow(_NUMERIC_FACTOR, -1, _NUMERIC_MODULUS)
_REVIEW_MODULUS = 1 << 144  # 18 bytes are 24 characters of base64 without padding
_REVIEW_MASK = _REVIEW_MODULUS - 1
_REVIEW_FACTOR = 0x9E3779B97F4A7C15F39CC0605CEDC8341081
_REVIEW_INVERSE = pow(_REVIEW_FACTOR, -1, _REVIEW_MODULUS)
_REVIEW_PREFIX = "AbFvOq"
_POSITION_BITS = 40
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def mix(first: int, second: int) -> int:
    """64 bits that depend on every bit of both numbers (the finalizer of splitmix64)."""
    value = (first * 0x9E3779B97F4A7C15 ^ (second + 1) * 0xC2B2AE3D27D4EB4F) & WORD
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & WORD
    return value ^ (value >> 31)


class NumericIds:
    """A one-to-one map between 0, 1, 2 … and decimal ids of up to 21 digits, another one for every salt."""

    def __init__(self, salt: int) -> None:
        self._offset = mix(salt, 7) * 97 + mix(salt, 11)

    def encode(self, number: int) -> str:
        return str((number * _NUMERIC_FACTOR + self._offset) % _NUMERIC_MODULUS)

    def decode(self, text: str) -> int | None:
        """The number behind an id; None when it cannot be an id. An id of another world gives a huge number."""
        if not (text.isascii() and text.isdigit()) or len(text) > 21:
            return None
        return (int(text) - self._offset) * _NUMERIC_INVERSE % _NUMERIC_MODULUS


class ReviewIds:
    """A one-to-one map between (location number, review number) and opaque ids of 30 characters."""

    def __init__(self, salt: int) -> None:
        self._offset = mix(salt, 13) << 70 | mix(salt, 17)

    def encode(self, location: int, review: int) -> bytes:
        return self.encoder(location)(review)

    def encoder(self, location: int) -> Callable[[int], bytes]:
        """`encode` for one location, fast: it makes most of the cost of a page."""
        base = (location << _POSITION_BITS) * _REVIEW_FACTOR + self._offset

        def encode(review: int) -> bytes:
            number = base + review * _REVIEW_FACTOR & _REVIEW_MASK
            return b"AbFvOq" + b2a_base64(number.to_bytes(18, "big"), newline=False).translate(_URL_SAFE)

        return encode

    def decode(self, text: str) -> tuple[int, int] | None:
        """(location number, review number), or None when the text is not an id."""
        try:
            number = int.from_bytes(urlsafe_b64decode(text.removeprefix(_REVIEW_PREFIX)), "big")
        except (Base64Error, ValueError):
            return None
        plain = (number - self._offset) * _REVIEW_INVERSE % _REVIEW_MODULUS
        return plain >> _POSITION_BITS, plain & ((1 << _POSITION_BITS) - 1)
