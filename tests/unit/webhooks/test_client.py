"""One message to one receiver over real HTTP: what comes back, what is not followed, what an error tells."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from aiohttp import web

from app.webhooks.client import CallbackClient, DeliveryError
from tests.support.certificates import Authority
from tests.support.receiver import Got, running_receiver, statuses

LOOPBACK = (ip_network("127.0.0.0/8"),)
QUERY = "?key=nobody-may-read-this"


@pytest.fixture
def hostile_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.mark.usefixtures("hostile_environment")
async def test_a_message_arrives_as_it_is_and_the_environment_has_no_say() -> None:
    async with running_receiver() as receiver, CallbackClient(LOOPBACK) as client:
        answer = await client.post(f"{receiver.url}/a%2Fb/../c{QUERY}", {"webhook-id": "msg_1"}, b'{"a":1}')
    (got,) = receiver.got
    assert answer.status == 204
    assert (got.path, got.body) == (f"/a%2Fb/../c{QUERY}", b'{"a":1}')
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"] == "msg_1"
    assert not {"authorization", "cookie", "proxy-authorization", "referer"} & set(got.headers)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_followed(status: int) -> None:
    async with running_receiver() as canary, running_receiver() as receiver, CallbackClient(LOOPBACK) as client:
        receiver.answer = statuses(status, Location=f"{canary.url}/taken")
        assert (await client.post(receiver.url, {}, b"{}")).status == status
        assert (len(receiver.got), len(canary.got)) == (1, 0)


async def test_cookies_are_not_kept() -> None:
    def with_cookie(_got: Got) -> web.Response:
        return web.Response(headers={"Set-Cookie": "a=b"})

    async with running_receiver(with_cookie) as receiver, CallbackClient(LOOPBACK) as client:
        for _ in range(2):
            await client.post(receiver.url, {}, b"{}")
        assert "cookie" not in receiver.got[1].headers


async def test_a_receiver_that_does_not_answer_costs_no_more_than_the_deadline() -> None:
    async with running_receiver() as receiver, CallbackClient(LOOPBACK, deadline=0.2) as client:
        receiver.held = asyncio.Event()
        with pytest.raises(DeliveryError, match="did not answer within"):
            await client.post(receiver.url + QUERY, {}, b"{}")


async def test_a_body_without_end_is_not_read() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536

    async with (
        running_receiver(lambda _got: web.Response(body=endless())) as receiver,
        CallbackClient(LOOPBACK, deadline=5.0) as client,
    ):
        assert (await client.post(receiver.url, {}, b"{}")).status == 200


async def test_https_verifies_the_certificate(tmp_path: Path) -> None:
    authority = Authority("receivers")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (tmp_path / "server.pem").write_bytes(authority.keystore())
    served.load_cert_chain(tmp_path / "server.pem")
    trusting = ssl.create_default_context(cadata=authority.certificate.decode())
    async with running_receiver(tls=served) as receiver:
        async with CallbackClient(LOOPBACK, authorities=trusting) as client:
            assert (await client.post(receiver.url, {}, b"{}")).status == 204
        async with CallbackClient(LOOPBACK) as client:
            with pytest.raises(DeliveryError, match="No trusted TLS connection"):
                await client.post(receiver.url + QUERY, {}, b"{}")
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:9/", "No connection to the receiver"),
        ("http://no-such-host.invalid/", "name was not found"),
        ("http://" + "a" * 70 + ".example/", "name was not found"),
        ("https://10.0.0.1/", "not a public one"),
        ("http://127.0.0.1:99999/", "cannot be called"),
    ],
)
async def test_errors_are_in_words_and_tell_nothing_of_the_url(url: str, told: str) -> None:
    # Where no resolver answers, "not found" takes its time.
    async with CallbackClient(LOOPBACK, deadline=60.0) as client:
        with pytest.raises(DeliveryError, match=told) as caught:
            await client.post(url + QUERY, {}, b"{}")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert "nobody-may-read-this" not in repr(caught.value)
