"""Bombs: answers that are small on the wire and large in memory, in any packing; and what is said about tokens."""

import gzip
import zlib

import pytest

from app.google.errors import ErrorKind, GoogleAPIError
from tests.unit.google.calling import PAGE, TOKEN, failure, google
from tests.unit.google.hostile import GRANT
from tests.unit.google.server import Answer, answer, raw

HEAD = b"HTTP/1.1 200 OK\r\n"


def packed(wbits: int, data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    return packer.compress(data) + packer.flush()


ZEROS = b" " * 2**24
PACKED = {
    "gzip": (answer(gzip.compress(ZEROS), Content_Encoding="gzip"), "page_too_large"),
    "gzip in gzip": (answer(gzip.compress(gzip.compress(ZEROS)), Content_Encoding="gzip"), "invalid_json"),
    "gzip, gzip": (answer(gzip.compress(gzip.compress(ZEROS)), Content_Encoding="gzip, gzip"), "content_encoding"),
    "two headers": (raw(HEAD + 2 * b"Content-Encoding: gzip\r\n" + b"Content-Length: 2\r\n\r\n{}"), "bad_gzip"),
    "zlib": (answer(packed(15, ZEROS), Content_Encoding="deflate"), "content_encoding"),
    "zlib, called gzip": (answer(packed(15, ZEROS), Content_Encoding="gzip"), "bad_gzip"),
    "deflate": (answer(packed(-15, ZEROS), Content_Encoding="deflate"), "content_encoding"),
    "brotli": (answer(b"\xcf\xff\xff\x7f\xf8" * 100, Content_Encoding="br"), "content_encoding"),
    "zstd": (answer(b"\x28\xb5\x2f\xfd" + ZEROS[:999], Content_Encoding="zstd"), "content_encoding"),
    "gzip, not told": (answer(gzip.compress(ZEROS)), "invalid_json"),
    "many small members": (answer(gzip.compress(b"{}") * 999, Content_Encoding="gzip"), "bad_gzip"),
    "tiny values": (answer(b'{"reviews":[' + b"{}," * 300_000), "too_many_values"),
    "too many reviews": (answer(b'{"reviews":[' + b"{}," * 1_000 + b"{}]}"), "too_many_items"),
}  # fmt: skip


@pytest.mark.parametrize(("bomb", "reason"), PACKED.values(), ids=PACKED)
async def test_a_bomb_in_any_packing_is_refused_and_the_next_call_works(bomb: Answer, reason: str) -> None:
    async with google(bomb, answer(PAGE)) as (client, _):
        error = await failure(client)
        assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, reason)
        assert (await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)).total == 1


@pytest.mark.parametrize("name", ["br", "deflate", "gzip, gzip", "zstd", "gzip"])
async def test_an_error_with_a_bomb_is_known_by_its_status(name: str) -> None:
    async with google(answer(gzip.compress(ZEROS), 503, Content_Encoding=name)) as (client, _):
        error = await failure(client)
    assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, "http_503")


HUGE = {
    "a bomb": answer(gzip.compress(ZEROS), Content_Encoding="gzip"),
    "a long one": answer(b'{"access_token":"a","aud":"' + b"x" * 100_000 + b'"}'),
    "a deep one": answer(b'{"access_token":' + b"[" * 30_000),
    "a list": answer(b'[{"access_token":"a"}]'),
}


@pytest.mark.parametrize("answered", HUGE.values(), ids=HUGE)
async def test_what_is_said_about_tokens_is_short(answered: Answer) -> None:
    async with google(answered) as (client, _):
        for call in (client.token_info(TOKEN), client.refresh(GRANT)):
            with pytest.raises(GoogleAPIError) as caught:
                await call
            assert caught.value.kind is ErrorKind.TRANSIENT


@pytest.mark.parametrize(
    "life", ["0", "-1", "-1e9", "1e400", '"x"', "[]", "true", '"99999999999999"', "null", '"-5"', "1.5", "9" * 5_000]
)
async def test_a_life_that_no_token_has_is_not_known(life: str) -> None:
    """One that would be dead at once must not be renewed before each page."""
    body = f'{{"access_token": "ya29.x", "expires_in": {life}}}'.encode()
    async with google(answer(body)) as (client, _):
        assert (await client.refresh(GRANT)).expires_in is None
        assert (await client.token_info(TOKEN)).expires_in in (None, 0)
