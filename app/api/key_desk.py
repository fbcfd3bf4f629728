"""API keys for administrators: list, make, rotate, revoke. Each is one transaction of the store."""

import re
from datetime import UTC, datetime
from functools import partial

from app.models.audit import Action, AuditEntry, Origin
from app.models.errors import KeyNotFoundError
from app.models.keys import SOON_SECONDS, KeyCreation, KeyList, KeyRotation, KeyState, KeyView, NewKey
from app.store.audit import audited
from app.store.cursors import KeysCursor, decode, encode
from app.store.database import Database, Transaction
from app.store.keys import KeyRecord, create_key, list_keys, revoke_key, rotate_key

_ID = re.compile(r"[a-z0-9]{8}")


class KeyDesk:
    """`tenant`: whose keys; None, for who has the store itself: those of all.

    Another tenant's key is as unknown as none: KeyNotFoundError. `by` did it: that is written down in the transaction.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, tenant: str | None, limit: int, cursor: str | None) -> KeyList:
        """A page of the keys, newest first. Raises BadCursorError."""
        return await self._database.read(_page, tenant, limit, cursor)

    async def create(self, tenant: str, wanted: KeyCreation, by: Origin) -> NewKey:
        """Make a key of this tenant."""
        return await self._database.write(audited(_create, partial(_entry_of_new, by)), tenant, wanted)

    async def rotate(self, tenant: str | None, key_id: str, wanted: KeyRotation, by: Origin) -> NewKey:
        """Replace a key. Raises KeyNotFoundError and KeyEndedError."""
        return await self._database.write(
            audited(_rotate, partial(_entry_of_rotated, by)), tenant, _possible(key_id), wanted
        )

    async def revoke(self, tenant: str | None, key_id: str, by: Origin) -> KeyView:
        """End a key. Raises KeyNotFoundError and KeyEndedError."""
        return await self._database.write(audited(_revoke, partial(_entry_of_revoked, by)), tenant, _possible(key_id))


def _page(transaction: Transaction, tenant: str | None, limit: int, cursor: str | None) -> KeyList:
    behind = None if cursor is None else decode(cursor, KeysCursor)
    found = list_keys(transaction, tenant, limit + 1, behind)
    last = found[limit - 1] if len(found) > limit else None
    return KeyList(
        keys=[_view(record, transaction.now) for record in found[:limit]],
        next_cursor=encode(KeysCursor(last.created_at, last.id)) if last else None,
    )


def _create(transaction: Transaction, tenant: str, wanted: KeyCreation) -> NewKey:
    record, key = create_key(transaction, tenant, wanted.name, wanted.scopes, wanted.expires_in)
    return NewKey(key=key, made=_view(record, transaction.now))


def _rotate(transaction: Transaction, tenant: str | None, key_id: str, wanted: KeyRotation) -> NewKey:
    old, new, key = rotate_key(transaction, tenant, key_id, wanted.overlap)
    return NewKey(key=key, made=_view(new, transaction.now), replaced=_view(old, transaction.now))


def _revoke(transaction: Transaction, tenant: str | None, key_id: str) -> KeyView:
    return _view(revoke_key(transaction, tenant, key_id), transaction.now)


def _entry_of_new(by: Origin, new: NewKey) -> AuditEntry:
    made = new.made
    return AuditEntry(made.tenant, Action.KEY_CREATE, made.id, by, {"scopes": " ".join(made.scopes)})


def _entry_of_rotated(by: Origin, new: NewKey) -> AuditEntry:
    old = new.replaced or new.made
    return AuditEntry(old.tenant, Action.KEY_ROTATE, old.id, by, {"replaced_by": new.made.id})


def _entry_of_revoked(by: Origin, ended: KeyView) -> AuditEntry:
    return AuditEntry(ended.tenant, Action.KEY_REVOKE, ended.id, by)


def _possible(key_id: str) -> str:
    """What cannot be an id never reaches the store."""
    if not _ID.fullmatch(key_id):
        raise KeyNotFoundError
    return key_id


def _view(record: KeyRecord, now: float) -> KeyView:
    return KeyView(
        id=record.id,
        tenant=record.tenant,
        name=record.name,
        scopes=sorted(record.scopes),
        state=_state(record, now),
        created_at=_time(record.created_at),
        expires_at=None if record.expires_at is None else _time(record.expires_at),
        last_used_at=None if record.last_used_at is None else _time(record.last_used_at),
        revoked_at=None if record.revoked_at is None else _time(record.revoked_at),
        replaced_by=record.replaced_by,
    )


def _state(record: KeyRecord, now: float) -> KeyState:
    if record.revoked_at is not None:
        return KeyState.REVOKED
    if not record.is_valid(now):
        return KeyState.EXPIRED
    soon = record.expires_at is not None and record.expires_at - now < SOON_SECONDS
    return KeyState.EXPIRES_SOON if soon else KeyState.VALID


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
