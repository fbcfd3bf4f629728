"""Who calls, when a proxy calls for others. Only what a trusted proxy says is believed."""

import re
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

ProxyHeaders = Literal["x-forwarded", "forwarded"]
"""X-Forwarded-For with X-Forwarded-Proto, or Forwarded (RFC 7239). One of them: a proxy that writes one lets whatever
its clients claim in the other pass."""

_PAIR = re.compile(r"""\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))\s*(?:;|$)""")


class Hop(NamedTuple):
    """Who spoke to a proxy, and how, as that proxy tells it. None: not told, or not to be understood."""

    address: Address | None
    scheme: str | None


class TrustedProxies:
    """ASGI middleware that puts the client in the place of the proxy in `scope`, when a trusted proxy is connected."""

    def __init__(self, app: ASGIApp, networks: Sequence[Network], headers: ProxyHeaders) -> None:
        self._app = app
        self._networks = tuple(networks)
        self._hops = _x_forwarded if headers == "x-forwarded" else _forwarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("client") and self._trusts(_address(scope["client"][0])):
            scope = self._behind(scope)
        await self._app(scope, receive, send)

    def _behind(self, scope: Scope) -> Scope:
        """Hop by hop away from here, as far as each was told by one that is trusted."""
        client, scheme = scope["client"], scope["scheme"]
        for hop in self._hops(scope):
            if hop.address is None:
                break
            client, scheme = (str(hop.address), 0), hop.scheme or scheme
            if not self._trusts(hop.address):
                break
        return {**scope, "client": client, "scheme": scheme}

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _x_forwarded(scope: Scope) -> Iterator[Hop]:
    """The nearest first. One scheme for all of them if only the last proxy tells it."""
    schemes = [_scheme(text) for text in _values(scope, b"x-forwarded-proto")] or [None]
    for number, text in enumerate(reversed(_values(scope, b"x-forwarded-for"))):
        yield Hop(_address(text), schemes[-1 - min(number, len(schemes) - 1)])


def _forwarded(scope: Scope) -> Iterator[Hop]:
    for element in reversed(_values(scope, b"forwarded")):
        pairs = {name.lower(): quoted or plain for name, quoted, plain in _PAIR.findall(element)}
        yield Hop(_address(pairs.get("for", "")), _scheme(pairs.get("proto", "")))


def _values(scope: Scope, name: bytes) -> list[str]:
    """The elements of a header's list, of all its lines. A quoted comma splits one into two that mean nothing."""
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return [element.strip() for line in lines for element in line.split(",")]


def _scheme(text: str) -> str | None:
    return text.lower() if text.lower() in ("http", "https") else None


def _address(text: str) -> Address | None:
    """`192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]:4711`. A mapped IPv4 address is that address."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text) if "%" not in text else None
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
