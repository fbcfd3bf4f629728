"""Which addresses a callback may lead to. Asked of the address that is dialled, never of a name.

A service that calls any URL it is given would otherwise call for strangers what only its own network can reach: other
services, a cloud's metadata, itself (server-side request forgery).
"""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

_GLOBAL_UNICAST = IPv6Network("2000::/3")
"""All that IANA gives out; what lies beside it (site-local, IPv4-compatible …) is no public host."""

_RESERVED = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20")))
"""Of IANA's registries of special addresses what some of Python's tables take for public (its own, up to 3.11.9): IETF
protocol assignments, where a cloud has its metadata (192.0.0.192), the former 6to4 relays, and RFC 9637.
"""

_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: an IPv4 address in the last 32 bits, reached through a translator."""


def parse_address(text: str) -> Address:
    """The address of a socket, IPv4 also where it comes in IPv6's form (`::ffff:127.0.0.1`)."""
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_public(address: Address) -> bool:
    """Whether it is a host on the open Internet, and so is the IPv4 host that an IPv6 address may stand for."""
    if any(address in network for network in _RESERVED):
        return False
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    if address in _NAT64:
        return is_public(IPv4Address(address.packed[-4:]))
    if address not in _GLOBAL_UNICAST or not (address.is_global or address.sixtofour):
        return False
    return address.sixtofour is None or is_public(address.sixtofour)


def within(networks: Sequence[Network]) -> Callable[[Address], bool]:
    """Whether an address lies in one of the networks."""
    return lambda address: any(address in network for network in networks)
