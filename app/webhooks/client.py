"""One message to one receiver: dialled where it may be, without redirects, and over within its deadline."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from aiohttp.abc import AbstractResolver
from yarl import URL

from app.webhooks.addresses import Address, Network, is_public, parse_address, within
from app.webhooks.resolving import ThreadResolver

DEADLINE_SECONDS = 15.0
"""For all of it: name, connection, TLS, sending, and the head of the answer."""

FAILURES = (aiohttp.ClientError, OSError, TimeoutError, ValueError)


class DeliveryError(Exception):
    """There was no answer. The message is meant for people and tells nothing of the URL."""


class AddressRefusedError(OSError):
    """The host's address is not a public one. An operator may open its network by WEBHOOK_ALLOWED_NETWORKS."""


class PlainHttpRefusedError(AddressRefusedError):
    """Plain http goes only to networks that an operator opened by WEBHOOK_ALLOWED_NETWORKS. Submit an https URL."""


class Answer(NamedTuple):
    """What a receiver answered: `retry_after` is the header as it came."""

    status: int
    retry_after: str | None


# The first row that fits decides, so the special stand before the general.
_TABLE: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, f"The receiver did not answer within {DEADLINE_SECONDS:.0f} s."),
    (aiohttp.ClientConnectorDNSError, "The host's name was not found."),
    (aiohttp.ClientSSLError, "No trusted TLS connection to the receiver: check its certificate."),
    (aiohttp.ClientConnectorError, "No connection to the receiver: nothing listens there, or a firewall is between."),
    (aiohttp.ClientResponseError, "The answer was not HTTP."),
    (aiohttp.InvalidURL, "The URL cannot be called."),
    (aiohttp.ClientError, "The connection was lost before an answer came."),
    (OSError, "The connection was lost before an answer came."),
    (ValueError, "The URL cannot be called."),
)


class CallbackClient:
    """Sends to public addresses over https, and to `networks` over http too. `async with` opens and closes it.

    Each socket is checked with the address that it is about to be connected to, so that it does not matter what a name
    resolved to a moment before. Redirects are not followed, nothing of an answer's body is read; no proxies, cookies or
    `.netrc` of the environment. `authorities`: whose certificates are trusted; None: those that the system trusts.
    """

    def __init__(
        self,
        networks: Sequence[Network] = (),
        *,
        deadline: float = DEADLINE_SECONDS,
        resolver: AbstractResolver | None = None,
        authorities: ssl.SSLContext | None = None,
    ) -> None:
        self._opened = within(networks)
        self._deadline = deadline
        self._resolver = resolver or ThreadResolver()
        self._authorities = authorities
        self._sessions: dict[str, ClientSession] = {}

    async def __aenter__(self) -> Self:
        self._sessions = {
            "https": self._session(self._is_allowed, AddressRefusedError),
            "http": self._session(self._opened, PlainHttpRefusedError),
        }
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer, whatever its status. Raises `DeliveryError`."""
        try:
            # `encoded`: the path and query go out exactly as they were submitted.
            target = URL(url, encoded=True)
            session = self._sessions[target.scheme]
            async with (
                asyncio.timeout(self._deadline),
                session.post(target, headers=headers, data=body, allow_redirects=False) as answer,
            ):
                return Answer(answer.status, answer.headers.get("Retry-After"))
        except FAILURES as error:
            failure = _in_words(error)
        # Outside of the handler: aiohttp's exceptions carry the whole URL, and must not be chained.
        raise DeliveryError(failure)

    def _is_allowed(self, address: Address) -> bool:
        return is_public(address) or self._opened(address)

    def _session(self, is_allowed: Callable[[Address], bool], refused: type[AddressRefusedError]) -> ClientSession:
        """A connection is for one message: how many there are at once is for the sender to say."""
        connector = TCPConnector(
            limit=0,
            force_close=True,
            use_dns_cache=False,
            resolver=self._resolver,
            socket_factory=_checked_sockets(is_allowed, refused),
            ssl=self._authorities or True,
        )
        return ClientSession(
            connector=connector,
            cookie_jar=DummyCookieJar(),
            headers={"Content-Type": "application/json", "User-Agent": "review-fetcher-webhooks"},
            timeout=ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,
            trust_env=False,
        )


def _checked_sockets(
    is_allowed: Callable[[Address], bool], refused: type[AddressRefusedError]
) -> "aiohttp.connector.SocketFactoryType":
    def open_socket(where: "aiohttp.connector.AddrInfoType") -> socket.socket:
        family, kind, protocol, _, address = where
        if not is_allowed(parse_address(str(address[0]))):
            raise refused(refused.__doc__)
        return socket.socket(family, kind, protocol)

    return open_socket


def _in_words(failure: BaseException) -> str:
    """In words of ours: aiohttp's quote the URL."""
    cause = failure.os_error if isinstance(failure, aiohttp.ClientConnectorError) else failure
    if isinstance(cause, AddressRefusedError):
        return str(cause)
    return next(text for kind, text in _TABLE if isinstance(failure, kind))
