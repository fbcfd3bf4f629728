"""Which sealing keys the store still needs, and what is sealed with an old one brought to the newest.

A row is locked, opened and sealed again within one transaction, so nothing that is renewed or replaced meanwhile is
overwritten. Rows that others have locked are left for the next look: nobody waits for anybody.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Column, RowMapping, bindparam, func, select, update

from app.credentials import Purpose, SealedTokenError, TokenSealer
from app.store.database import Transaction
from app.store.schema import callbacks, credentials

NO_KEY = ""
"""What a row names whose secret was given up with its key."""


class Kind(StrEnum):
    """What is sealed: the access token and grant of a job, or the URL of its callback."""

    CREDENTIALS = "credentials"
    CALLBACKS = "callbacks"


_TABLES = {Kind.CREDENTIALS: credentials, Kind.CALLBACKS: callbacks}


class Resealed(NamedTuple):
    """What became of a batch: rows sealed anew, rows that do not open, and the last job looked at (None: none)."""

    rows: int
    unopened: int
    last: str | None


def keys_in_use(transaction: Transaction) -> list[str]:
    """The ids of the keys that something is sealed with, in order: one look into an index for each."""
    return sorted({key_id for table in _TABLES.values() for key_id in _key_ids(transaction, table.c.key_id)})


def _key_ids(transaction: Transaction, column: Column[str]) -> list[str]:
    found: list[str] = []
    while (following := _following(transaction, column, found[-1] if found else NO_KEY)) is not None:
        found.append(following)
    return found


def _following(transaction: Transaction, column: Column[str], key_id: str) -> str | None:
    least = select(func.min(column)).where(column > key_id)
    found: str | None = transaction.connection.execute(least).scalar_one()
    return found


def reseal(
    transaction: Transaction, kind: Kind, sealer: TokenSealer, key_id: str, *, after: str, limit: int
) -> Resealed:
    """Bring at most `limit` rows that name `key_id` to the newest key, those of the jobs after `after` in order."""
    table = _TABLES[kind]
    locked = (
        select(table)
        .where(table.c.key_id == key_id, table.c.job_id > after)
        .order_by(table.c.job_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = transaction.connection.execute(locked).mappings().all()
    anew = [values for row in rows if (values := _opened_anew(_RESEALED[kind], sealer, row)) is not None]
    if anew:
        columns: dict[str, object] = {name: bindparam(f"new_{name}") for name in anew[0]}
        statement = update(table).where(table.c.job_id == bindparam("new_job_id")).values(columns)
        transaction.connection.execute(
            statement, [{f"new_{name}": value for name, value in values.items()} for values in anew]
        )
    return Resealed(len(anew), len(rows) - len(anew), rows[-1]["job_id"] if rows else None)


def _opened_anew(
    resealed: Callable[[TokenSealer, RowMapping], dict[str, object]], sealer: TokenSealer, row: RowMapping
) -> dict[str, object] | None:
    """None: it does not open, and stays."""
    try:
        return {"job_id": row["job_id"], "key_id": sealer.key_ids[0], **resealed(sealer, row)}
    except SealedTokenError:
        return None


def _credentials(sealer: TokenSealer, row: RowMapping) -> dict[str, object]:
    """Both, or neither: a row has one key."""
    job, token, grant = (row["tenant"], row["job_id"]), row["sealed"], row["sealed_grant"]
    return {
        "sealed": sealer.reseal(*job, token).data if token else token,
        "sealed_grant": None if grant is None else sealer.reseal(*job, grant, Purpose.GRANT).data,
    }


def _callback(sealer: TokenSealer, row: RowMapping) -> dict[str, object]:
    return {"sealed_url": sealer.reseal(row["tenant"], row["job_id"], row["sealed_url"], Purpose.CALLBACK).data}


_RESEALED = {Kind.CREDENTIALS: _credentials, Kind.CALLBACKS: _callback}
