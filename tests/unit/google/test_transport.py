"""The client against what front ends, proxies and broken networks do."""

import asyncio
import gzip
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.google import body as bodies
from app.google.client import GoogleAPIClient
from app.google.endpoints import Endpoints
from app.google.errors import ErrorKind, GoogleAPIError
from tests.unit.google.calling import PAGE, TOKEN, failure, google
from tests.unit.google.server import Answer, answer, endless, hang_up, raw, serving, silence, then_silence


async def test_a_redirect_is_not_followed() -> None:
    async with (
        serving(answer(PAGE)) as elsewhere,
        google(answer(b"", 302, Location=f"{elsewhere.url}/v4")) as (client, _),
    ):
        error = await failure(client)
    assert elsewhere.requests == []
    assert (error.kind, error.reason, error.status) == (ErrorKind.TRANSIENT, "http_302", 302)


async def test_cookies_are_neither_kept_nor_sent() -> None:
    async with google(answer(Set_Cookie="NID=tracked; Path=/")) as (_, server):
        # By name: no cookie jar keeps cookies of an address.
        named = GoogleAPIClient(Endpoints.at(server.url.replace("127.0.0.1", "localhost")))
        async with named:
            await named.list_accounts(TOKEN, None)
            await named.list_accounts(TOKEN, None)
    assert "cookie" not in server.requests[1].headers


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with google(answer(PAGE)) as (client, server):
        await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)
    assert len(server.requests) == 1


async def test_a_connection_is_used_again() -> None:
    async with google(answer(PAGE)) as (client, server):
        for _ in range(3):
            await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)
    assert server.connections == 1


async def test_no_more_connections_are_opened_than_allowed() -> None:
    async with google(answer(PAGE), connections=2) as (client, server):
        await asyncio.gather(*(client.list_accounts(TOKEN, None) for _ in range(6)))
    assert len(server.requests) == 6
    assert server.connections == 2


async def test_a_call_is_not_sent_again_when_a_kept_connection_breaks() -> None:
    async with google(answer(PAGE), hang_up) as (client, server):
        await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)
        error = await failure(client)
    assert len(server.requests) == 2
    assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, "connection")


CUT_GZIP = gzip.compress(PAGE)[:-12]
HTML = b"<html><title>Sorry</title>" + b"x" * 100
BROKEN = {
    "cut by length": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + PAGE, then_close=True), "cut"),
    "cut in a chunk": (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{", then_close=True), "cut"),
    "cut json": (raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PAGE[:-9], then_close=True), "cut"),
    "cut gzip": (answer(CUT_GZIP, Content_Encoding="gzip"), "cut"),
    "not gzip": (answer(PAGE, Content_Encoding="gzip"), "bad_gzip"),
    "more than gzip": (answer(gzip.compress(PAGE) + b"more", Content_Encoding="gzip"), "bad_gzip"),
    "other packing": (answer(PAGE, Content_Encoding="br"), "content_encoding"),
    "packed twice": (answer(PAGE, Content_Encoding="gzip, gzip"), "content_encoding"),
    "html": (answer(HTML, Content_Type="text/html"), "invalid_json"),
    "a list": (answer(b"[]"), "invalid_json"),
    "deep": (answer(b'{"reviews": ' + b"[" * 100_000), "invalid_json"),
    "reviews no list": (answer(b'{"reviews": {}}'), "invalid_json"),
    "page token a number": (answer(b'{"nextPageToken": 5}'), "invalid_json"),
    "no content": (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), "http_204"),
    "not http": (raw(b"220 mail.example ESMTP\r\n", then_close=True), "bad_http"),
    "header without end": (raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, then_close=True), "bad_http"),
    "odd length": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", then_close=True), "bad_http"),
    "no answer": (hang_up, "connection"),
}


@pytest.mark.parametrize(("broken", "reason"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_answer_is_transient_and_the_next_call_works(broken: Answer, reason: str) -> None:
    async with google(broken, answer(PAGE)) as (client, _):
        error = await failure(client)
        assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, reason)
        assert (await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)).total == 1


STARTS = [b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"]
STARTS += [b"HTTP/1.1 429 No\r\nRetry-After: ", b"HTTP/1.1 503 No\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: "]


@settings(max_examples=60)
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=60))
async def test_whatever_is_sent_back_fails_as_an_error_of_ours(start: bytes, rest: bytes) -> None:
    async with google(raw(start + rest, then_close=True)) as (client, _):
        with pytest.raises(GoogleAPIError):
            await client.list_accounts(TOKEN, None)


async def test_nobody_listening_is_a_connection_failure() -> None:
    async with serving(silence) as server:
        pass
    async with GoogleAPIClient(Endpoints.at(server.url)) as client:
        error = await failure(client)
    assert (error.kind, error.reason, error.status) == (ErrorKind.TRANSIENT, "connection", None)


@pytest.mark.parametrize(
    "hanging", [silence, then_silence(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"), then_silence(b"HTTP/1.1 2")]
)
async def test_a_call_ends_at_its_deadline_wherever_the_answer_stops(hanging: Answer) -> None:
    async with google(hanging, deadline=0.05) as (client, _):
        error = await failure(client)
    assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, "timeout")


async def test_a_cancelled_call_gives_its_connection_back() -> None:
    async with google(silence, answer(PAGE), connections=1) as (client, server):
        call = asyncio.create_task(client.list_reviews(TOKEN, "accounts/1", "locations/2", None))
        await server.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)).total == 1


@pytest.mark.parametrize(
    "huge",
    [
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{"),
        endless(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" " * 4096),
        answer(gzip.compress(b" " * 2**20), Content_Encoding="gzip"),
    ],
    ids=["announced", "endless", "unpacked"],
)
async def test_a_page_over_the_limit_is_refused_while_it_is_read(huge: Answer) -> None:
    async with google(huge, answer(PAGE), max_page_bytes=2**16) as (client, _):
        error = await failure(client)
        assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, "page_too_large")
        assert (await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)).total == 1


async def test_an_error_is_known_by_its_status_when_its_body_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_ERROR_SECONDS", 0.05)
    unfinished = b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 900\r\n\r\n{"
    async with google(then_silence(unfinished)) as (client, _):
        error = await failure(client)
    assert (error.kind, error.retry_after) == (ErrorKind.THROTTLED, 7.0)


async def test_an_error_is_known_by_its_status_when_its_body_is_cut() -> None:
    cut = raw(b"HTTP/1.1 503 Away\r\nContent-Length: 900\r\n\r\n{", then_close=True)
    async with google(cut) as (client, _):
        error = await failure(client)
    assert (error.kind, error.reason, error.status) == (ErrorKind.TRANSIENT, "http_503", 503)


async def test_of_an_errors_body_only_the_beginning_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_ERROR_SECONDS", 60.0)
    unending = endless(b"HTTP/1.1 404 No\r\nConnection: close\r\n\r\n", b"<p>" * 4096)
    async with google(unending, deadline=2.0) as (client, _):
        error = await failure(client)
    assert (error.kind, error.reason, error.status) == (ErrorKind.REFUSED, "http_404", 404)


async def test_an_error_may_be_packed_and_its_bomb_stays_small() -> None:
    said = json.dumps({"error": {"status": "NOT_FOUND", "message": "Requested entity was not found."}}).encode()
    bomb = gzip.compress(b" " * 2**24 + said)
    packed = [answer(body, 404, Content_Encoding="gzip") for body in (gzip.compress(said), bomb, b"not gzip")]
    async with google(*packed) as (client, _):
        reasons = [(await failure(client)).reason for _ in range(3)]
    assert reasons == ["NOT_FOUND", "http_404", "http_404"]
