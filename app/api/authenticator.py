"""API key → caller: keys of the environment, keys of the store, and callers of this machine while there are none."""

import hmac
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from app.api.attempts import FailedAttempts
from app.api.auth import Caller
from app.api.errors import UnauthenticatedError
from app.api.stored_keys import StoredKeys
from app.clock import Clock, SystemClock
from app.models.access import DEFAULT_TENANT, Scope
from app.store.database import Database, StoreUnavailableError
from app.store.keys import hash_key, prefix_of

LONGEST_KEY = 256
SHORTEST_KEY = 20

ALL_SCOPES = frozenset({Scope.ADMIN})

_NO_HASH = bytes(32)
"""Compared where there is no key, so that an unknown prefix takes as long as a known one."""


class ApiKeySettingError(ValueError):
    """API_KEYS holds an entry that cannot be used. An entry is a secret of at least 20 visible characters, and after
    a colon the scopes if it should not have all of them: `secret:submit+read`."""


@dataclass(frozen=True, slots=True)
class StaticKey:
    """A key from the environment."""

    hash: bytes = field(repr=False)
    scopes: frozenset[Scope]

    @property
    def id(self) -> str:
        """Names it in logs: of its hash so much that it tells keys apart and helps nobody to guess one."""
        return f"env-{self.hash.hex()[:8]}"


def parse_api_keys(entries: Iterable[str]) -> list[StaticKey]:
    """Read the entries of API_KEYS, `secret` or `secret:scope+scope`. Without scopes a key may do everything."""
    return [_parse_entry(entry.strip()) for entry in entries if entry.strip()]


def _parse_entry(entry: str) -> StaticKey:
    secret, _, scopes = entry.partition(":")
    usable = SHORTEST_KEY <= len(secret) <= LONGEST_KEY and secret.isascii() and secret.isprintable()
    if not usable or " " in secret or not set(scopes.split("+")) <= {"", *Scope}:
        raise ApiKeySettingError(" ".join((ApiKeySettingError.__doc__ or "").split()))
    return StaticKey(hash_key(secret), frozenset(Scope(scope) for scope in scopes.split("+") if scope) or ALL_SCOPES)


def _nobody_notes(_key_id: str) -> None:
    """The default of `used`."""


class Authenticator:
    """Knows keys. `open_on_loopback` (development): while there is no key at all, callers of this machine may do all.

    `used` is told the id of a stored key each time it lets somebody in.
    """

    def __init__(
        self,
        database: Database,
        *,
        static_keys: Sequence[StaticKey] = (),
        open_on_loopback: bool = False,
        clock: Clock | None = None,
        attempts: FailedAttempts | None = None,
        used: Callable[[str], None] = _nobody_notes,
    ) -> None:
        clock = clock or SystemClock()
        self._static = tuple(static_keys)
        self._open_on_loopback = open_on_loopback and not static_keys
        self._stored = StoredKeys(database, clock)
        self._attempts = attempts or FailedAttempts(clock)
        self._used = used

    async def admit(self, key: str | None, *, address: str | None, on_this_machine: bool) -> Caller:
        """The caller with this key, which a client at this address has just presented.

        Raises `UnauthenticatedError`, `TooManyAttemptsError`, and `StoreUnavailableError` if it cannot be told.
        """
        if key is None:
            try:
                return await self.authenticate(None, on_this_machine=on_this_machine)
            except UnauthenticatedError:
                self._attempts.without_key()
                raise
        digest = hash_key(key)
        self._attempts.check(address, digest)
        caller = await self._caller(key, digest)
        if caller is None:
            self._attempts.wrong(address, key, digest)
            raise UnauthenticatedError
        self._attempts.let_in(address, digest)
        return caller

    async def authenticate(self, key: str | None, *, on_this_machine: bool) -> Caller:
        """The same for a key that cannot be a guess, because it comes out of a sealed session: without a limit."""
        if key is None:
            if on_this_machine and await self.is_open():
                return Caller(DEFAULT_TENANT, ALL_SCOPES)
            raise UnauthenticatedError
        caller = await self._caller(key, hash_key(key))
        if caller is None:
            raise UnauthenticatedError
        return caller

    async def still_admits(self, key: str | None, *, on_this_machine: bool) -> bool:
        """Whether somebody who was let in before still would be. A store that is away does not shut anybody out."""
        try:
            await self.authenticate(key, on_this_machine=on_this_machine)
        except UnauthenticatedError:
            return False
        except StoreUnavailableError:
            return True
        return True

    async def is_open(self) -> bool:
        """Whether callers of this machine need no key."""
        return self._open_on_loopback and await self._stored.none_exist()

    async def _caller(self, key: str, digest: bytes) -> Caller | None:
        if len(key) > LONGEST_KEY:
            return None
        return self._static_caller(digest) or await self._stored_caller(prefix_of(key), digest)

    def _static_caller(self, digest: bytes) -> Caller | None:
        found = [known for known in self._static if hmac.compare_digest(known.hash, digest)]
        return Caller(DEFAULT_TENANT, found[0].scopes, found[0].id) if found else None

    async def _stored_caller(self, prefix: str | None, digest: bytes) -> Caller | None:
        record = await self._stored.find(prefix) if prefix else None
        same = hmac.compare_digest(record.hash if record else _NO_HASH, digest)
        if record is None or not same:
            return None
        self._used(record.id)
        return Caller(record.tenant, record.scopes, record.id)
