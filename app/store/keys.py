"""API keys at rest: who may call, for which tenant, to do what. Only a hash of the secret is kept.

A key reads `rf_<prefix>_<secret>`: the prefix (8 characters) names it in lists and logs, the secret (192 random bits)
is shown once. Being random, it needs no slow hash: SHA-256 cannot be searched for it. Whether a key is still valid is
decided by the database's clock alone.
"""

import hashlib
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, or_, select, true, tuple_, update

from app.models.access import Scope
from app.models.errors import KeyEndedError, KeyNotFoundError
from app.store.cursors import KeysCursor
from app.store.database import Transaction
from app.store.schema import api_keys

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without 0, 1, l and o: a prefix is read aloud and typed."""

PREFIX_LENGTH = 8


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One key, without its secret. `id` is its prefix; `hash` the SHA-256 of the whole key; times are epoch seconds.

    `last_used_at` may be a minute behind. `replaced_by`: the key that it was rotated to.
    """

    id: str
    tenant: str
    name: str
    scopes: frozenset[Scope]
    created_at: float
    revoked_at: float | None
    hash: bytes = field(repr=False)
    expires_at: float | None = None
    last_used_at: float | None = None
    replaced_by: str | None = None

    def is_valid(self, now: float) -> bool:
        """Whether it opens anything at this time of the database."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


def hash_key(secret: str) -> bytes:
    """SHA-256 of a whole key as the caller sends it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def prefix_of(secret: str) -> str | None:
    """The prefix of a key of our making; None for anything else."""
    parts = secret.split("_", 2)
    if len(parts) < 3 or parts[0] != "rf" or len(parts[1]) != PREFIX_LENGTH or not parts[1].isalnum():
        return None
    return parts[1] if parts[1].isascii() else None


def create_key(
    transaction: Transaction,
    tenant: str,
    name: str,
    scopes: Collection[Scope],
    expires_in: float | None = None,
) -> tuple[KeyRecord, str]:
    """Make a key, valid for `expires_in` seconds (None: until it is revoked).

    Returns its record and the key itself, which nobody can read again.
    """
    prefix = "".join(secrets.choice(_ALPHABET) for _ in range(PREFIX_LENGTH))
    secret = f"rf_{prefix}_{secrets.token_urlsafe(24)}"
    now = transaction.now
    expires_at = None if expires_in is None else now + expires_in
    record = KeyRecord(prefix, tenant, name, frozenset(scopes), now, None, hash_key(secret), expires_at)
    transaction.connection.execute(api_keys.insert().values(**_columns(record)))
    return record, secret


def rotate_key(
    transaction: Transaction, tenant: str | None, key_id: str, overlap: float
) -> tuple[KeyRecord, KeyRecord, str]:
    """Replace a key (of this tenant, or of any) by a new one like it, which lives as long as the old one was made for.

    The old one goes on for `overlap` seconds, or until it would have expired. Returns the old record, the new one and
    the new key. Raises KeyNotFoundError, and KeyEndedError if it is revoked, expired or was rotated before.
    """
    old = _key(transaction, tenant, key_id)
    if old.replaced_by is not None or not old.is_valid(transaction.now):
        raise KeyEndedError(_why_ended(old))
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    new, secret = create_key(transaction, old.tenant, old.name, old.scopes, lifetime)
    end = transaction.now + overlap
    expires_at = end if old.expires_at is None else min(end, old.expires_at)
    # Of two who rotate at once the second finds no row; what it has made goes with its transaction.
    rotated = (
        update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.replaced_by.is_(None), _valid(transaction.now))
        .values(expires_at=expires_at, replaced_by=new.id)
    )
    if transaction.connection.execute(rotated).rowcount != 1:
        raise KeyEndedError(_why_ended(_key(transaction, tenant, key_id)))
    return _key(transaction, tenant, key_id), new, secret


def revoke_key(transaction: Transaction, tenant: str | None, key_id: str) -> KeyRecord:
    """Revoke a key (of this tenant, or of any), from within 5 seconds on.

    Raises KeyNotFoundError, and KeyEndedError if it is revoked already.
    """
    statement = (
        update(api_keys)
        .where(api_keys.c.id == key_id, _of(tenant), api_keys.c.revoked_at.is_(None))
        .values(revoked_at=transaction.now)
    )
    revoked = transaction.connection.execute(statement).rowcount == 1
    record = _key(transaction, tenant, key_id)
    if not revoked:
        raise KeyEndedError(_why_ended(record))
    return record


def list_keys(
    transaction: Transaction, tenant: str | None, limit: int, behind: KeysCursor | None = None
) -> list[KeyRecord]:
    """Keys of a tenant, or of all, newest first, those that have ended included."""
    statement = select(api_keys).where(_of(tenant)).order_by(api_keys.c.created_at.desc(), api_keys.c.id.desc())
    if behind is not None:
        statement = statement.where(
            tuple_(api_keys.c.created_at, api_keys.c.id) < tuple_(behind.created_at, behind.key_id)
        )
    return [_record(row) for row in transaction.connection.execute(statement.limit(limit))]


def find_key(transaction: Transaction, prefix: str) -> tuple[KeyRecord | None, float]:
    """The key with this prefix if it is valid, and the database's time, by which it expires."""
    row = transaction.connection.execute(select(api_keys).where(api_keys.c.id == prefix)).one_or_none()
    record = None if row is None else _record(row)
    now = transaction.now
    return (record if record is not None and record.is_valid(now) else None), now


def note_uses(transaction: Transaction, ages: Mapping[str, float]) -> None:
    """These keys were used so many seconds ago; what is known to be later stays. In key order: replicas do it too."""
    for key_id in sorted(ages):
        used_at = transaction.now - ages[key_id]
        before = api_keys.c.last_used_at
        statement = update(api_keys).where(api_keys.c.id == key_id, or_(before.is_(None), before < used_at))
        transaction.connection.execute(statement.values(last_used_at=used_at))


def tenant_of_key(transaction: Transaction, key_id: str) -> str | None:
    """Whose the key with this prefix is, or was: revoked ones too. None: nobody ever had it."""
    return transaction.connection.execute(select(api_keys.c.tenant).where(api_keys.c.id == key_id)).scalar()


def count_keys(transaction: Transaction) -> int:
    """How many keys were ever made, of all tenants."""
    return _count(transaction, true())


def count_valid_keys(transaction: Transaction) -> int:
    """How many keys open anything now, of all tenants."""
    return _count(transaction, _valid(transaction.now))


def _count(transaction: Transaction, which: ColumnElement[bool]) -> int:
    statement = select(func.count()).select_from(api_keys).where(which)
    return int(transaction.connection.execute(statement).scalar_one())


def _valid(now: float) -> ColumnElement[bool]:
    expiry = api_keys.c.expires_at
    return and_(api_keys.c.revoked_at.is_(None), or_(expiry.is_(None), expiry > now))


def _of(tenant: str | None) -> ColumnElement[bool]:
    return true() if tenant is None else api_keys.c.tenant == tenant


def _key(transaction: Transaction, tenant: str | None, key_id: str) -> KeyRecord:
    row = transaction.connection.execute(select(api_keys).where(api_keys.c.id == key_id, _of(tenant))).one_or_none()
    if row is None:
        raise KeyNotFoundError
    return _record(row)


def _why_ended(record: KeyRecord) -> str:
    if record.revoked_at is not None:
        return "is revoked"
    return "has expired" if record.replaced_by is None else f"was replaced by {record.replaced_by}"


def _columns(record: KeyRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "tenant": record.tenant,
        "name": record.name,
        "prefix": record.id,
        "hash": record.hash.hex(),
        "scopes": " ".join(sorted(record.scopes)),
        "created_at": record.created_at,
        "expires_at": record.expires_at,
    }


def _record(row: Row[Any]) -> KeyRecord:
    return KeyRecord(
        row.id,
        row.tenant,
        row.name,
        frozenset(Scope(scope) for scope in row.scopes.split()),
        row.created_at,
        row.revoked_at,
        bytes.fromhex(row.hash),
        row.expires_at,
        row.last_used_at,
        row.replaced_by,
    )
