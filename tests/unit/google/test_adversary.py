"""A Google that means harm, below what it says: where it sends the client, who it claims to be, and when it ends."""

import asyncio
import socket
import ssl
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.google.client import GoogleAPIClient
from app.google.endpoints import Endpoints
from app.google.errors import ErrorKind, GoogleAPIError
from tests.support.certificates import Authority
from tests.unit.google.calling import PAGE, TOKEN, failure, google
from tests.unit.google.hostile import GRANT
from tests.unit.google.server import Answer, answer, endless, raw, serving, silence, then_silence

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
@pytest.mark.parametrize(
    "place", ["{other}/taken", "{same}/v4/again", "//127.0.0.1/x", "/again", "javascript:x", "\x01\x7f\xff"]
)
async def test_no_redirect_is_followed_with_a_token_or_without(status: int, place: str) -> None:
    """API10:2023; not to the same host either: what Google answers there is not what was asked for."""
    async with serving(answer(PAGE)) as other, serving() as same:
        location = place.format(other=other.url, same=same.url)
        moved = raw(f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))
        async with google(moved) as (client, server):
            error = await failure(client)
            for call in (client.token_info(TOKEN), client.refresh(GRANT)):
                with pytest.raises(GoogleAPIError):
                    await call
    assert (len(server.requests), other.requests, same.requests) == (3, [], [])
    assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, f"http_{status}")
    assert "redirects are not followed. Check GOOGLE_API_BASE_URL and proxies." in error.message


GOOD, STRANGER = Authority("good"), Authority("stranger")
WRONG_TLS = {
    "another authority": (STRANGER.keystore(), "unable to get local issuer certificate"),
    "expired": (GOOD.keystore(age=timedelta(days=3)), "certificate has expired"),
    "not valid yet": (GOOD.keystore(age=timedelta(days=-3)), "certificate is not yet valid"),
    "another name": (GOOD.keystore(names=["elsewhere.example"]), "not valid for '127.0.0.1'"),
}


def context_of(directory: Path, keystore: bytes) -> ssl.SSLContext:
    (directory / "server.pem").write_bytes(keystore)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    return context


def trusting(url: str, deadline: float = 10.0) -> GoogleAPIClient:
    """A client that trusts the good authority alone."""
    authorities = ssl.create_default_context(cadata=GOOD.certificate.decode())
    return GoogleAPIClient(Endpoints.at(url), deadline=deadline, authorities=authorities)


async def test_over_the_right_tls_a_page_comes(tmp_path: Path) -> None:
    """Or the tests below would show nothing."""
    async with (
        serving(answer(PAGE), tls=context_of(tmp_path, GOOD.keystore())) as server,
        trusting(server.url) as client,
    ):
        assert (await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)).total == 1


@pytest.mark.parametrize(("keystore", "told"), WRONG_TLS.values(), ids=WRONG_TLS)
async def test_over_wrong_tls_nothing_is_sent_and_the_cause_is_told(tmp_path: Path, keystore: bytes, told: str) -> None:
    async with serving(answer(PAGE), tls=context_of(tmp_path, keystore)) as server, trusting(server.url) as client:
        error = await failure(client)
    assert server.requests == []
    assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, "tls")
    assert told in error.message
    assert "check the clock, the CA certificates and proxies" in error.message


async def test_a_certificate_that_only_its_owner_signed_is_not_trusted_by_the_system(tmp_path: Path) -> None:
    async with (
        serving(answer(PAGE), tls=context_of(tmp_path, GOOD.keystore())) as server,
        GoogleAPIClient(Endpoints.at(server.url)) as client,
    ):
        error = await failure(client)
    assert (server.requests, error.reason) == ([], "tls")
    assert "unable to get local issuer certificate" in error.message


@pytest.mark.parametrize("newest", ["TLSv1", "TLSv1_1"])
async def test_protocols_that_are_out_of_date_are_not_spoken(tmp_path: Path, newest: str) -> None:
    """RFC 8996. OpenSSL's own server: that of asyncio hangs up without the word that it owes."""
    context = context_of(tmp_path, GOOD.keystore())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion[newest]
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        shaking = asyncio.create_task(asyncio.to_thread(shake_hands, listening, context))
        async with trusting(https(listening)) as client:
            error = await failure(client)
        refused = await shaking
    assert "protocol" in refused.lower()
    assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, "tls")
    assert "protocol version)" in error.message


def shake_hands(listening: socket.socket, context: ssl.SSLContext) -> str:
    """Why it did not work."""
    accepted, _ = listening.accept()
    with accepted, pytest.raises(ssl.SSLError) as caught:
        context.wrap_socket(accepted, server_side=True)
    return str(caught.value)


def https(listening: Any) -> str:
    return f"https://127.0.0.1:{listening.getsockname()[1]}"


async def test_plain_text_where_tls_should_be_gets_no_token() -> None:
    hello = bytearray()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello.extend(await reader.read(10_000))
        writer.write(b"HTTP/1.1 400 Speak TLS\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with (
        await asyncio.start_server(converse, "127.0.0.1", 0) as plain,
        trusting(https(plain.sockets[0])) as client,
    ):
        error = await failure(client)
    assert TOKEN.encode() not in hello
    assert error.reason == "tls"
    assert "(wrong version number)" in error.message or "(record layer failure)" in error.message


async def test_a_handshake_that_never_ends_is_over_at_the_deadline() -> None:
    async with serving(silence) as mute, trusting(mute.url.replace("http:", "https:"), deadline=1.0) as client:
        error = await failure(client)
    assert (mute.connections, mute.requests) == (1, [])
    assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, "timeout")


async def trickle(writer: asyncio.StreamWriter) -> None:
    """A byte now and then, so that no timeout between two of them is ever met."""
    writer.write(HEAD + b"Content-Length: 9000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"{")
        await writer.drain()
        await asyncio.sleep(0.01)


ENDLESS = {
    "a trickle": trickle,
    "chunks of one byte": endless(CHUNKED, b"1\r\n{\r\n" * 100),
    "an extension of a chunk": endless(CHUNKED + b"1;", b"x" * 1_000),
    "interim answers": endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "early hints": endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100),
    "half a header": then_silence(HEAD + b"Content-Le"),
    "trailers to come": then_silence(CHUNKED + b"2\r\n{}\r\n0\r\nA: b\r\n"),
}


@pytest.mark.parametrize("never_ending", ENDLESS.values(), ids=ENDLESS)
async def test_an_answer_without_an_end_is_over_at_the_deadline_and_the_next_call_works(never_ending: Answer) -> None:
    async with google(never_ending, answer(PAGE), deadline=0.5) as (client, _):
        loop = asyncio.get_running_loop()
        began = loop.time()
        error = await failure(client)
        assert loop.time() - began < 5
        assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, "timeout")
        assert (await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)).total == 1


HEADERS = {
    "without end": endless(HEAD, b"X-A: " + b"b" * 1_000 + b"\r\n"),
    "one without end": endless(HEAD + b"X-A: ", b"b" * 1_000),
    "a status line without end": endless(b"HTTP/1.1 200 ", b"O" * 1_000),
    "too many": raw(HEAD + b"a: b\r\n" * 1_000 + b"Content-Length: 2\r\n\r\n{}"),
    "too long": raw(HEAD + b"X-A: " + b"b" * 100_000 + b"\r\nContent-Length: 2\r\n\r\n{}"),
    "trailers without end": endless(CHUNKED + b"2\r\n{}\r\n0\r\n", b"a: b\r\n" * 100),
    "a length of thirty digits": raw(HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n{}"),
    "two lengths": raw(HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"),
    "a length and chunks": raw(HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS)
async def test_headers_that_no_server_needs_are_no_answer(headers: Answer) -> None:
    async with google(headers, answer(PAGE)) as (client, _):
        error = await failure(client)
        assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, "bad_http")
        assert (await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)).total == 1


@pytest.mark.parametrize(
    "first",
    [
        HEAD + b"Content-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 204 No\r\n\r\n",
        b"HTTP/1.1 304 No\r\n\r\n",
        b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next(first: bytes) -> None:
    """Response splitting: two answers on one kept connection, to one request (CWE-113)."""
    forged = b'HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{"totalReviewCount":666}'
    async with google(raw(first + forged), answer(PAGE)) as (client, server):
        try:
            await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)
        except GoogleAPIError as error:
            assert error.status != 200  # noqa: PT017
        assert (await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)).total == 1
    assert len(server.requests) == 2
