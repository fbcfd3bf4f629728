"""Which addresses a callback may lead to, and that only these are ever dialled, whatever a name resolves to."""

import socket
from ipaddress import ip_network

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from app.webhooks.addresses import is_public, parse_address, within
from app.webhooks.client import CallbackClient, DeliveryError
from tests.support.receiver import running_receiver

LOOPBACK = (ip_network("127.0.0.0/8"),)

HOSTILE = """
    0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.254 127.0.0.1 127.255.255.254 169.254.0.1
    169.254.169.254 169.254.170.2 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.0.255 192.0.2.1
    192.168.0.1 198.18.0.1 198.51.100.1
    192.88.99.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
    :: ::1 ::ffff:127.0.0.1 ::ffff:169.254.169.254 ::ffff:10.0.0.1 ::ffff:0:127.0.0.1 ::127.0.0.1 ::7f00:1 ::8.8.8.8
    64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 64:ff9b:1::1 64:ff9b:1::8.8.8.8
    2002:7f00:1:: 2002:a00:1:: 2002:a9fe:a9fe:: 2002:c0a8:1::1 2001::1 2001:0:7f00:1:: 2001:1::1 2001:20::1
    2001:1ff::1 2001:db8::1 100::1
    fc00::1 fd00:ec2::254 fd12:3456:789a::1 fe80::1 fe80::1%eth0 fe80::1%1 fec0::1 feff::1 ff02::1 ff0e::1
    5f00::1 4000::1 3fff::1 3fff:fff:ffff::1
""".split()

PUBLIC = """
    1.1.1.1 8.8.8.8 93.184.216.34 172.15.255.255 172.32.0.1 100.63.255.255 100.128.0.1 223.255.255.254
    ::ffff:8.8.8.8 2606:4700:4700::1111 2a00:1450:4001:800::200e 64:ff9b::8.8.8.8 2002:808:808::1
""".split()


@pytest.mark.parametrize("address", HOSTILE)
def test_an_address_of_no_public_host_is_refused(address: str) -> None:
    assert not is_public(parse_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_public(parse_address(address))


@pytest.mark.parametrize(
    ("address", "opened"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.1.2.3", False), ("fd00::5", True), ("fd01::5", False)],
)
def test_an_operator_opens_networks(address: str, opened: bool) -> None:
    networks = (ip_network("10.0.0.0/8"), ip_network("fd00::/16"))
    assert within(networks)(parse_address(address)) is opened


LITERALS = """
    127.0.0.1 127.1 127.0.1 2130706433 0x7f000001 0x7f.1 0177.0.0.1 017700000001 0 0.0.0.0 169.254.169.254 2852039166
    0xa9fea9fe [::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [fe80::1] localhost localhost. 10.0.0.1 192.168.1.1
    [64:ff9b::7f00:1] [2002:7f00:1::] [fd00:ec2::254]
""".split()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", LITERALS)
async def test_no_spelling_of_an_inner_address_is_dialled(host: str, scheme: str, opened_sockets: list[str]) -> None:
    async with CallbackClient() as client:
        with pytest.raises(DeliveryError):
            await client.post(f"{scheme}://{host}:8000/", {}, b"{}")
    assert opened_sockets == []


async def test_what_is_dialled_is_seen(opened_sockets: list[str]) -> None:
    """Or the test above would show nothing."""
    async with running_receiver() as receiver, CallbackClient(LOOPBACK) as client:
        await client.post(receiver.url, {}, b"{}")
    assert len(opened_sockets) == 1


@pytest.fixture
def opened_sockets(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where to the sockets that the client opens are connected."""
    opened: list[str] = []

    class Watched(socket.socket):
        def connect(self, address: object) -> None:
            opened.append(str(address))
            super().connect(address)  # type: ignore[arg-type]

    monkeypatch.setattr("app.webhooks.client.socket.socket", Watched)
    return opened


class Resolver(AbstractResolver):
    """Answers by a list of its own, another one at each question; the last again and again."""

    def __init__(self, *answers: list[str]) -> None:
        self.left = list(answers)
        self.questions = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.questions += 1
        addresses = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return [_resolved(host, address, port) for address in addresses]

    async def close(self) -> None: ...


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=flags)


async def test_a_name_that_changes_its_answer_is_checked_at_each_dial() -> None:
    """DNS rebinding: once to where it may, then to the inside."""
    resolver = Resolver(["127.0.0.1"], ["127.0.0.2"])
    async with (
        running_receiver() as receiver,
        CallbackClient((ip_network("127.0.0.1/32"),), resolver=resolver) as client,
    ):
        url = receiver.url.replace("127.0.0.1", "rebinding.example")
        assert (await client.post(url, {}, b"{}")).status == 204
        with pytest.raises(DeliveryError, match="opened by WEBHOOK_ALLOWED_NETWORKS"):
            await client.post(url, {}, b"{}")
        assert (resolver.questions, len(receiver.got)) == (2, 1)


async def test_of_several_addresses_only_those_allowed_are_dialled() -> None:
    resolver = Resolver(["10.0.0.1", "fd00::1", "127.0.0.1"])
    async with running_receiver() as receiver, CallbackClient(LOOPBACK, resolver=resolver) as client:
        url = receiver.url.replace("127.0.0.1", "mixed.example")
        assert (await client.post(url, {}, b"{}")).status == 204


async def test_plain_http_does_not_even_go_to_a_public_address(opened_sockets: list[str]) -> None:
    async with CallbackClient(resolver=Resolver(["8.8.8.8"])) as client:
        with pytest.raises(DeliveryError, match="Plain http goes only to networks"):
            await client.post("http://public.example/", {}, b"{}")
    assert opened_sockets == []
