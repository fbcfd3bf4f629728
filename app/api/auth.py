"""API key → tenant → scopes. `Access` is the one dependency of every route that is not in `OPEN_ROUTES`."""

import asyncio
import hmac
import ipaddress
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

import structlog
from fastapi import Request, Security
from fastapi.openapi.models import APIKey, APIKeyIn
from fastapi.security.base import SecurityBase

from app.api.errors import ScopeMissingError, UnauthenticatedError
from app.api.known_query import refuse_unknown_query
from app.clock import Clock, SystemClock
from app.models.access import DEFAULT_TENANT, Scope
from app.store.database import Database
from app.store.keys import KeyRecord, count_keys, find_key, hash_key, prefix_of

OPEN_ROUTES = {
    "/livez": "an orchestrator asks it without a key, and learns only that the process answers",
    "/readyz": "an orchestrator asks it without a key, and learns which part is away, nothing of any tenant",
    "/api/v1/health": "a load balancer asks it without a key, and learns only how busy the service is",
}
"""Routes without an API key, each with its reason."""

FRESH_SECONDS = 5.0
"""How long a key read from the store is believed: a revocation works within this time."""

CACHED_KEYS = 1_000
LONGEST_KEY = 256
SHORTEST_KEY = 20


class ApiKeySettingError(ValueError):
    """API_KEYS holds an entry that cannot be used. An entry is a secret of at least 20 visible characters, and after
    a colon the scopes if it should not have all of them: `secret:submit+read`."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: every row that a request may touch is this tenant's."""

    tenant: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope | None) -> bool:
        return scope is None or scope in self.scopes or Scope.ADMIN in self.scopes


@dataclass(frozen=True, slots=True)
class StaticKey:
    """A key from the environment."""

    hash: bytes = field(repr=False)
    scopes: frozenset[Scope]


def parse_api_keys(entries: Iterable[str]) -> list[StaticKey]:
    """Read the entries of API_KEYS, `secret` or `secret:scope+scope`. Without scopes a key may do everything."""
    return [_parse_entry(entry.strip()) for entry in entries if entry.strip()]


def _parse_entry(entry: str) -> StaticKey:
    secret, _, scopes = entry.partition(":")
    usable = SHORTEST_KEY <= len(secret) <= LONGEST_KEY and secret.isascii() and secret.isprintable()
    if not usable or " " in secret or not set(scopes.split("+")) <= {"", *Scope}:
        raise ApiKeySettingError(" ".join((ApiKeySettingError.__doc__ or "").split()))
    return StaticKey(hash_key(secret), frozenset(Scope(scope) for scope in scopes.split("+") if scope) or ALL_SCOPES)


ALL_SCOPES = frozenset({Scope.ADMIN})


class Authenticator:
    """Knows keys: those of the environment, and those of the store, each read at most every 5 seconds.

    `open_on_loopback` (development): while there is no key at all, callers of this machine may do everything.
    """

    def __init__(
        self,
        database: Database,
        *,
        static_keys: Sequence[StaticKey] = (),
        open_on_loopback: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._static = tuple(static_keys)
        self._open_on_loopback = open_on_loopback and not static_keys
        self._stored = _StoredKeys(database, clock or SystemClock())

    async def authenticate(self, key: str | None, *, on_this_machine: bool) -> Caller:
        """The caller with this key. Raises `UnauthenticatedError`, and `StoreUnavailableError` if it cannot be told."""
        if key is None:
            if on_this_machine and self._open_on_loopback and await self._stored.none_exist():
                return Caller(DEFAULT_TENANT, ALL_SCOPES)
            raise UnauthenticatedError
        if len(key) > LONGEST_KEY:
            raise UnauthenticatedError
        return self._static_caller(key) or await self._stored_caller(key)

    def _static_caller(self, key: str) -> Caller | None:
        digest = hash_key(key) if self._static else b""
        found = [known for known in self._static if hmac.compare_digest(known.hash, digest)]
        return Caller(DEFAULT_TENANT, found[0].scopes) if found else None

    async def _stored_caller(self, key: str) -> Caller:
        prefix = prefix_of(key)
        record = await self._stored.find(prefix) if prefix else None
        if record is None or not hmac.compare_digest(record.hash, hash_key(key)):
            raise UnauthenticatedError
        return Caller(record.tenant, record.scopes)


class _Cached(NamedTuple):
    read_at: float
    record: KeyRecord | None


class _StoredKeys:
    """Keys of the store by prefix. Unknown prefixes are remembered too, so guessing does not load the store."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._cached: OrderedDict[str, _Cached] = OrderedDict()
        self._reading: dict[str, asyncio.Task[KeyRecord | None]] = {}
        self._none_until = -1.0

    async def find(self, prefix: str) -> KeyRecord | None:
        cached = self._cached.get(prefix)
        if cached and self._clock.monotonic() - cached.read_at < FRESH_SECONDS:
            return cached.record
        return await asyncio.shield(self._reading.get(prefix) or self._start_reading(prefix))

    async def none_exist(self) -> bool:
        """Whether no key was ever made. Only "none" is remembered: from the first key on the answer is final."""
        now = self._clock.monotonic()
        if now < self._none_until:
            return True
        none = await self._database.read(count_keys) == 0
        self._none_until = now + FRESH_SECONDS if none else -1.0
        return none

    def _start_reading(self, prefix: str) -> asyncio.Task[KeyRecord | None]:
        """One read for all requests that wait for it."""
        reading = asyncio.ensure_future(self._read(prefix))
        self._reading[prefix] = reading
        reading.add_done_callback(lambda done: self._end_reading(prefix, done))
        return reading

    def _end_reading(self, prefix: str, reading: asyncio.Task[KeyRecord | None]) -> None:
        self._reading.pop(prefix, None)
        if not reading.cancelled():
            reading.exception()  # seen, even if every request that waited for it is gone

    async def _read(self, prefix: str) -> KeyRecord | None:
        read_at = self._clock.monotonic()
        record = await self._database.read(find_key, prefix)
        self._cached[prefix] = _Cached(read_at, record)
        self._cached.move_to_end(prefix)
        while len(self._cached) > CACHED_KEYS:
            self._cached.popitem(last=False)
        return record


class Access(SecurityBase):
    """Lets a request in whose API key has `scope` (None: any valid key), and says who calls."""

    def __init__(self, scope: Scope | None) -> None:
        self.model = APIKey.model_validate({"in": APIKeyIn.header, "name": "X-API-Key"})
        self.scheme_name = "ApiKey"
        self._scope = scope

    async def __call__(self, request: Request) -> Caller:
        key = presented_key(request)
        local = key is None and is_on_this_machine(request)
        authenticator: Authenticator = request.app.state.services.authenticator
        caller = await authenticator.authenticate(key, on_this_machine=local)
        structlog.contextvars.bind_contextvars(tenant=caller.tenant)
        if not caller.may(self._scope):
            raise ScopeMissingError(f"{ScopeMissingError.__doc__} Scope: {self._scope}")
        refuse_unknown_query(request)
        return caller


def presented_key(request: Request) -> str | None:
    """X-API-Key, or the bearer of Authorization."""
    key = request.headers.get("x-api-key")
    if key is not None:
        return key
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else None


_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


def is_on_this_machine(request: Request) -> bool:
    """Whether a program of this machine calls directly: not by a proxy, and not a web page of elsewhere.

    The name in Host keeps out a page whose name was made to resolve to this machine (DNS rebinding), Sec-Fetch-Site
    one that sends a form here.
    """
    headers = request.headers
    if "forwarded" in headers or "x-forwarded-for" in headers or headers.get("sec-fetch-site") == "cross-site":
        return False
    host = headers.get("host", "").lower()
    named_locally = any(host == name or host.startswith(f"{name}:") for name in _LOCAL_NAMES)
    return named_locally and request.client is not None and _is_loopback(request.client.host)


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _with(scope: Scope | None) -> object:
    return Security(Access(scope), scopes=[scope.value] if scope else [])


AnyCaller = Annotated[Caller, _with(None)]
Submitter = Annotated[Caller, _with(Scope.SUBMIT)]
Reader = Annotated[Caller, _with(Scope.READ)]
Operator = Annotated[Caller, _with(Scope.OPERATE)]
Administrator = Annotated[Caller, _with(Scope.ADMIN)]
