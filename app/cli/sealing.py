"""The sealing keys as commands use them, and what `keys reseal` and `keys forget` do to the store.

A service that works on the store goes on meanwhile: each batch is one short transaction, and several commands at once
do no harm. One that was broken off is simply begun again: what it did is done.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from app.cli.exits import CommandError, UsageError
from app.cli.files import is_there
from app.cli.local import existing_store, user_of_this_machine
from app.config import PostgresqlServer, Settings, get_settings
from app.credentials import KeyFileError, TokenSealer
from app.models.audit import ALL_TENANTS, Action, AuditEntry
from app.store.audit import audited
from app.store.database import Database, Transaction
from app.store.sealing import Kind, Resealed, keys_in_use, reseal
from app.store.wiping import forget_callbacks, forget_credentials
from app.wiring.values import key_file, sealing_keys

ROWS_A_COMMIT = 100
"""Some milliseconds, for which a service on the same SQLite file waits."""

PAUSE_SECONDS = 0.02
"""Between two of them: SQLite gives waiting writers no turn by itself."""

LOOKS = 5
"""At rows that somebody had locked, or that a replica has sealed with an old key meanwhile."""

LOOK_SECONDS = 0.5


class Report(NamedTuple):
    """What was done: rows of each kind sealed with `key`, rows that do not open, and the old keys no row names any
    more, or still does."""

    key: str
    credentials: int
    callbacks: int
    unopened: int
    unused: list[str]
    still_used: list[str]


class Forgotten(NamedTuple):
    """How many tokens were wiped, and how many callbacks have no URL any more."""

    credentials: int
    callbacks: int


def service_sealer(settings: Settings) -> TokenSealer:
    """With the service's own keys: a token that was sealed under another could never be opened."""
    path = key_file(settings)
    if isinstance(settings.database, PostgresqlServer) and not (settings.sealing_keys or is_there(path)):
        raise CommandError(
            "there is no sealing key here, and the token must be sealed with the service's own: set TOKEN_SEALING_KEYS "
            "as the service has it, or ask the service itself by --server"
        )
    try:
        return TokenSealer(sealing_keys(settings))
    except KeyFileError as error:
        raise CommandError(f"{error} Or ask the service itself by --server.") from error


async def reseal_everything() -> Report:
    """Bring everything that is sealed with an old key to the newest. Raises what `existing_store` raises."""
    async with existing_store() as store:
        resealing = Resealing(store, service_sealer(get_settings()))
        await resealing.look()
        for _ in range(LOOKS - 1):
            if not await resealing.still_used():
                break
            await asyncio.sleep(LOOK_SECONDS)
            await resealing.look()
        return await resealing.report()


class Resealing:
    """Looks through the store, and counts what it has sealed anew."""

    def __init__(self, store: Database, sealer: TokenSealer) -> None:
        self._store = store
        self._sealer = sealer
        self._newest, *self._old = sealer.key_ids
        self._used_before: set[str] = set()
        self._done: Counter[Kind] = Counter()
        self._unopened = 0

    async def look(self) -> None:
        """Once through all that names an old key."""
        self._unopened = 0
        for key_id in await self.still_used():
            self._used_before.add(key_id)
            for kind in Kind:
                await self._all_of(kind, key_id)

    async def _all_of(self, kind: Kind, key_id: str) -> None:
        after: str | None = ""
        while after is not None:
            work = audited(reseal, partial(_resealed, kind, key_id, self._newest))
            batch = await self._store.write(work, kind, self._sealer, key_id, after=after, limit=ROWS_A_COMMIT)
            self._done[kind] += batch.rows
            self._unopened += batch.unopened
            after = batch.last
            await asyncio.sleep(PAUSE_SECONDS)

    async def still_used(self) -> list[str]:
        return [key_id for key_id in await self._store.read(keys_in_use) if key_id != self._newest]

    async def report(self) -> Report:
        still_used = await self.still_used()
        return Report(
            self._newest,
            self._done[Kind.CREDENTIALS],
            self._done[Kind.CALLBACKS],
            self._unopened,
            unused=sorted({*self._used_before, *self._old} - set(still_used)),
            still_used=still_used,
        )


async def forget(key_id: str) -> Forgotten:
    """Give up what is sealed with a key that is lost. Refused for one that this command has."""
    if key_id in service_sealer(get_settings()).key_ids:
        raise UsageError(f"{key_id} is one of the service's keys: what it has sealed can be read")
    async with existing_store() as store:
        return await give_up(store, key_id)


async def give_up(store: Database, key_id: str) -> Forgotten:
    """Everything that is sealed with it."""
    credentials = audited(forget_credentials, partial(_forgotten, Kind.CREDENTIALS, key_id))
    callbacks = audited(forget_callbacks, partial(_forgotten, Kind.CALLBACKS, key_id))
    return Forgotten(await _all(store, credentials, key_id), await _all(store, callbacks, key_id))


def _resealed(kind: Kind, old: str, new: str, batch: Resealed) -> AuditEntry | None:
    return _entry(Action.SEALING_RESEAL, old, {"to": new, "kind": kind.value}, batch.rows)


def _forgotten(kind: Kind, key_id: str, rows: int) -> AuditEntry | None:
    return _entry(Action.SEALING_FORGET, key_id, {"kind": kind.value}, rows)


def _entry(action: Action, key_id: str, detail: Mapping[str, object], rows: int) -> AuditEntry | None:
    """What one transaction has done."""
    told = {**detail, "rows": rows}
    return AuditEntry(ALL_TENANTS, action, key_id, user_of_this_machine(), told) if rows else None


async def _all(store: Database, forget_some: Callable[[Transaction, str, int], int], key_id: str) -> int:
    """Until nothing is left of it, also what another had locked."""
    forgotten = 0
    for _ in range(LOOKS):
        while some := await store.write(forget_some, key_id, ROWS_A_COMMIT):
            forgotten += some
            await asyncio.sleep(PAUSE_SECONDS)
        if key_id not in await store.read(keys_in_use):
            break
        await asyncio.sleep(LOOK_SECONDS)
    return forgotten
