"""API keys at rest: who may call, for which tenant, to do what. Only a hash of the secret is kept.

A key reads `rf_<prefix>_<secret>`: the prefix (8 characters) names it in lists and logs, the secret (192 random bits)
is shown once. Being random, it needs no slow hash: SHA-256 cannot be searched for it.
"""

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, func, select, update

from app.models.access import Scope
from app.models.audit import Action, AuditEntry, Origin
from app.store.audit import audited, note
from app.store.database import Transaction
from app.store.schema import api_keys

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""Without 0, 1, l and o: a prefix is read aloud and typed."""

PREFIX_LENGTH = 8


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One key, without its secret. `id` is its prefix; `hash` the SHA-256 of the whole key; times are epoch seconds."""

    id: str
    tenant: str
    name: str
    scopes: frozenset[Scope]
    created_at: float
    revoked_at: float | None
    hash: bytes = field(repr=False)


def hash_key(secret: str) -> bytes:
    """SHA-256 of a whole key as the caller sends it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def prefix_of(secret: str) -> str | None:
    """The prefix of a key of our making; None for anything else."""
    parts = secret.split("_", 2)
    if len(parts) < 3 or parts[0] != "rf" or len(parts[1]) != PREFIX_LENGTH or not parts[1].isalnum():
        return None
    return parts[1] if parts[1].isascii() else None


def create_key(transaction: Transaction, tenant: str, name: str, scopes: Collection[Scope]) -> tuple[KeyRecord, str]:
    """Make a key. Returns its record and the key itself, which nobody can read again."""
    prefix = "".join(secrets.choice(_ALPHABET) for _ in range(PREFIX_LENGTH))
    secret = f"rf_{prefix}_{secrets.token_urlsafe(24)}"
    record = KeyRecord(prefix, tenant, name, frozenset(scopes), transaction.now, None, hash_key(secret))
    transaction.connection.execute(api_keys.insert().values(**_columns(record)))
    return record, secret


def list_keys(transaction: Transaction, tenant: str | None = None) -> list[KeyRecord]:
    """The keys of a tenant, or of all, oldest first, revoked ones included."""
    statement = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id)
    if tenant is not None:
        statement = statement.where(api_keys.c.tenant == tenant)
    return [_record(row) for row in transaction.connection.execute(statement)]


def revoke_key(transaction: Transaction, key_id: str) -> bool:
    """Revoke a key by its prefix, from within 5 seconds on. False if there is none that is still valid."""
    statement = (
        update(api_keys)
        .where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=transaction.now)
    )
    return transaction.connection.execute(statement).rowcount == 1


def create_key_for(
    transaction: Transaction, tenant: str, name: str, scopes: Collection[Scope], by: Origin
) -> tuple[KeyRecord, str]:
    """`create_key`, and written down who did it."""

    def entry(made: tuple[KeyRecord, str]) -> AuditEntry:
        return AuditEntry(tenant, Action.KEY_CREATE, made[0].id, by, {"scopes": " ".join(sorted(scopes))})

    return audited(create_key, entry)(transaction, tenant, name, scopes)


def revoke_key_for(transaction: Transaction, key_id: str, by: Origin) -> bool:
    """`revoke_key`, and written down who did it."""
    tenant = tenant_of_key(transaction, key_id)
    revoked = revoke_key(transaction, key_id)
    if revoked and tenant is not None:
        note(transaction, AuditEntry(tenant, Action.KEY_REVOKE, key_id, by))
    return revoked


def find_key(transaction: Transaction, prefix: str) -> KeyRecord | None:
    """The key with this prefix unless it is revoked."""
    statement = select(api_keys).where(api_keys.c.id == prefix, api_keys.c.revoked_at.is_(None))
    row = transaction.connection.execute(statement).one_or_none()
    return None if row is None else _record(row)


def tenant_of_key(transaction: Transaction, key_id: str) -> str | None:
    """Whose the key with this prefix is, or was: revoked ones too. None: nobody ever had it."""
    return transaction.connection.execute(select(api_keys.c.tenant).where(api_keys.c.id == key_id)).scalar()


def count_keys(transaction: Transaction) -> int:
    """How many keys were ever made, of all tenants."""
    return int(transaction.connection.execute(select(func.count()).select_from(api_keys)).scalar_one())


def _columns(record: KeyRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "tenant": record.tenant,
        "name": record.name,
        "prefix": record.id,
        "hash": record.hash.hex(),
        "scopes": " ".join(sorted(record.scopes)),
        "created_at": record.created_at,
    }


def _record(row: Row[Any]) -> KeyRecord:
    scopes = frozenset(Scope(scope) for scope in row.scopes.split())
    return KeyRecord(row.id, row.tenant, row.name, scopes, row.created_at, row.revoked_at, bytes.fromhex(row.hash))
