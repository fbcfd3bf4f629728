"""Unpacking that never holds more than its limit."""

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.google.body import gunzip
from app.google.errors import GoogleAPIError
from tests.unit.google.server import outcome

MEBIBYTE = 2**20


def bomb(mebibytes: int) -> bytes:
    """A gzip of so many MiB of spaces, about a thousandth of it in size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * MEBIBYTE) for _ in range(mebibytes)) + packer.flush()


def test_a_bomb_is_refused_without_holding_it() -> None:
    packed = bomb(128)
    assert len(packed) < MEBIBYTE
    tracemalloc.start()
    with pytest.raises(GoogleAPIError) as caught:
        gunzip(packed, MEBIBYTE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.reason == "page_too_large"
    assert peak < 4 * MEBIBYTE


@pytest.mark.parametrize(("limit", "fits"), [(MEBIBYTE - 1, False), (MEBIBYTE, True), (MEBIBYTE + 1, True)])
def test_a_page_of_exactly_the_limit_fits(limit: int, fits: bool) -> None:
    if fits:
        assert len(gunzip(bomb(1), limit)) == MEBIBYTE
    else:
        with pytest.raises(GoogleAPIError, match="larger"):
            gunzip(bomb(1), limit)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_what_was_packed_comes_back_or_is_refused(data: bytes, length: int) -> None:
    packed = zlib.compress(data, wbits=31)[:length]
    page = outcome(lambda body: gunzip(body, 300), packed)
    if length >= len(zlib.compress(data, wbits=31)):
        assert page == data
    else:
        assert isinstance(page, GoogleAPIError)
        assert page.reason == "cut"


@given(st.binary(max_size=100))
def test_any_bytes_are_unpacked_or_refused(data: bytes) -> None:
    with pytest.raises(GoogleAPIError):
        gunzip(data, 100)
