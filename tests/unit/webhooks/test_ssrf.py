"""Server-side request forgery: however a URL spells an inner host, no connection arrives there (OWASP API7:2023).

The judges are sockets that listen on every address of this machine, not the client's own account of what it did.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from ipaddress import ip_network

import pytest
from pydantic import TypeAdapter, ValidationError

from app.api.schemas import CallbackUrl
from app.webhooks.client import CallbackClient, DeliveryError
from tests.support.receiver import running_receiver, statuses
from tests.unit.webhooks.test_addresses import Resolver

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
PRIVATE = "The host's address is not a public one"
PLAIN = "Plain http goes only to networks"
UNKNOWN = "The host's name was not found"
UNUSABLE = "The URL cannot be called"

INNER = """
    127.0.0.1 127.127.127.127 0.0.0.0 10.0.0.1 172.16.0.1 192.168.0.1 169.254.169.254 169.254.170.2 100.64.0.1
    100.100.100.200 192.0.0.192 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1
    255.255.255.255
    [::1] [0:0:0:0:0:0:0:1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:ffff:7f00:0001] [::ffff:a9fe:a9fe]
    [::127.0.0.1] [::7f00:1] [::ffff:0:127.0.0.1] [64:ff9b::7f00:1] [64:ff9b::127.0.0.1] [64:ff9b::a9fe:a9fe]
    [64:ff9b:1::7f00:1] [2002:7f00:1::] [2002:a9fe:a9fe::1] [2001::7f00:1] [2001:0:4136:e378:8000:63bf:80ff:fffe]
    [fe80::1] [fe80::1%25lo] [::1%25lo] [fc00::1] [fd00:ec2::254] [fec0::1] [ff02::1] [ff05::1:3] [2001:db8::1]
    [3fff::1] [100::1] [5f00::1] 0x7f000001 0x7F.0.0.1 0x7f.1 0xc0a80001 0xa9fea9fe 0x0 localhost LOCALHOST
""".split()
"""Each is an inner address, or is resolved to one by this machine."""

STRANGE = (
    """
    127.1 127.0.1 2130706433 0177.0.0.1 0177.0.0.01 017700000001 0177.0x0.0.1 0 00.0.0.0 10.1 167772161 3232235521
    2852039166 0251.0376.0251.0376 169.254.43518 localhost. LocalHost. 127.000.000.001 0x7f.0x0.0x0.0x1 [fe80::1%lo]
    127.0.0.1. 127.0.0.1.. .127.0.0.1 127..0.1 1.2.3.4.5 256.256.256.256 0x100000000 4294967296 -1 0x 08.0.0.1
    127.0.0.1%00.example.invalid 127.0.0.1%2e %31%32%37.0.0.1 １２７.０.０.１ ①②⑦.⓪.⓪.① 127。0。0。1 ⓛocalhost
    xn--localhost xn--n3h.invalid ip6-localhost ip6-loopback localhost.localdomain [::1 ::1] [::g] [127.0.0.1] [::1]x
    user@127.0.0.1 user:pass@localhost 127.0.0.1\\@example.invalid example.invalid\\@127.0.0.1 127.0.0.1#@x.invalid
    127.0.0.1?@example.invalid example.invalid@127.0.0.1 127.0.0.1&@example.invalid 127.0.0.1;@x.invalid \\127.0.0.1
    127.0.0.1:@x.invalid 127.0.0.1/@x.invalid /127.0.0.1 //127.0.0.1 [::ffff:127.0.0.1%25eth0]
""".split()
    + [
        "127.0.0.1\t",
        "127.0.0.1\r\nHost: x",
        "127.0.0.1 ",
        " localhost",
        "127.0.0.1\x00.x.invalid",
        "",
        "\u200b127.0.0.1",
    ]
)
"""Spellings that mean different things to different readers: whatever this one makes of them, nothing arrives."""


@dataclass
class Listeners:
    """On every address of the machine, under one port. `arrived`: connections, by the address they came to."""

    port: int = 0
    arrived: list[str] = field(default_factory=list)

    async def converse(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.arrived.append(str(writer.get_extra_info("sockname")))
        writer.close()


@pytest.fixture
async def listeners() -> AsyncIterator[Listeners]:
    listening = Listeners()
    async with AsyncExitStack() as open_until_here:
        first = await asyncio.start_server(listening.converse, "0.0.0.0", 0)  # noqa: S104 - that is the point
        await open_until_here.enter_async_context(first)
        listening.port = first.sockets[0].getsockname()[1]
        if socket.has_ipv6:
            sixth = await asyncio.start_server(listening.converse, "::", listening.port, family=socket.AF_INET6)
            await open_until_here.enter_async_context(sixth)
        yield listening


async def refusal(client: CallbackClient, url: str) -> str:
    with pytest.raises(DeliveryError) as caught:
        await client.post(url, {}, b'{"secret":1}')
    return str(caught.value)


async def test_no_spelling_of_an_inner_host_is_connected_to_and_the_cause_is_told(listeners: Listeners) -> None:
    async with CallbackClient() as client:
        for host in INNER:
            told = [await refusal(client, f"{scheme}://{host}:{listeners.port}/") for scheme in ("https", "http")]
            assert told[0].startswith(PRIVATE), (host, told)
            assert told[1].startswith(PLAIN), (host, told)
    assert listeners.arrived == []


async def test_strange_spellings_reach_nobody_inside(listeners: Listeners) -> None:
    async with CallbackClient(deadline=5.0) as client:
        for host in STRANGE:
            for scheme in ("https", "http"):
                told = await refusal(client, f"{scheme}://{host}:{listeners.port}/")
                assert told.startswith((PRIVATE, PLAIN, UNKNOWN, UNUSABLE)), (host, told)
    assert listeners.arrived == []


async def test_opening_one_network_opens_no_other(listeners: Listeners) -> None:
    async with CallbackClient((ip_network("10.0.0.0/8"), ip_network("127.0.0.7/32"))) as client:
        for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.8]", "0x7f.1"):
            assert (await refusal(client, f"https://{host}:{listeners.port}/")).startswith(PRIVATE)
    assert listeners.arrived == []


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "localhost"])
async def test_what_is_opened_is_connected_to(listeners: Listeners, host: str) -> None:
    """Or the tests above would show nothing."""
    async with CallbackClient(LOOPBACK, deadline=5.0) as client:
        await refusal(client, f"http://{host}:{listeners.port}/")
    assert len(listeners.arrived) == 1


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([["127.0.0.7"], ["127.0.0.1"]], id="another address the second time"),
        pytest.param([["127.0.0.7", "127.0.0.1", "::1", "10.0.0.1"]], id="several at once"),
        pytest.param([["::ffff:127.0.0.7", "::ffff:127.0.0.1"]], id="mapped ones"),
    ],
)
async def test_a_name_leads_only_where_it_may_whatever_it_resolves_to(
    listeners: Listeners, answers: list[list[str]]
) -> None:
    """DNS rebinding, and several addresses of one name. 127.0.0.7 is opened, and all of them listen."""
    async with CallbackClient((ip_network("127.0.0.7/32"),), resolver=Resolver(*answers), deadline=5.0) as client:
        for _ in range(3):
            await refusal(client, f"http://rebinding.example:{listeners.port}/")
    assert listeners.arrived
    assert {place.split("'")[1].removeprefix("::ffff:") for place in listeners.arrived} == {"127.0.0.7"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_receiver_cannot_send_the_client_inside(listeners: Listeners, status: int) -> None:
    location = f"http://127.0.0.1:{listeners.port}/latest/meta-data"
    async with running_receiver(statuses(status, Location=location)) as receiver, CallbackClient(LOOPBACK) as client:
        assert (await client.post(receiver.url, {}, b"{}")).status == status
    assert listeners.arrived == []


AT_SUBMISSION = (
    """
    http://user@example.com/ https://user:password@example.com/ https://127.0.0.1\\@example.com/ https://example.com\\x
    https://example.com#@127.0.0.1/ https://１２７.０.０.１/ https://127。0。0。1/ ftp://example.com/ file:///etc/passwd
    gopher://127.0.0.1:6379/_x https:///x https://:443/ https://example.com:0/ https://example.com:x/ //example.com/
    https://[::1/ https://[::g]/ javascript:alert(1) data:text/plain,x
    https:example.com http:/x unix:/var/run/docker.sock
""".split()
    + ["https://example.com/a b", "https://exa\tmple.com/", "https://example.com/\r\nX: y", " https://x.example", ""]
)


@pytest.mark.parametrize("url", AT_SUBMISSION)
def test_what_readers_of_urls_disagree_about_is_refused_at_submission(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(CallbackUrl).validate_python(url)
    (problem,) = caught.value.errors(include_input=False)
    assert problem["msg"].startswith("a callback URL ")
