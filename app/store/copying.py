"""A whole store copied into an empty one, all or nothing: one snapshot of the source, one transaction of the target.

So a copy that was broken off leaves nothing behind and is simply begun anew, and none can be taken for whole that is
not. PostgreSQL keeps no undo log: the length of a transaction that only inserts costs nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Table, func, insert, select, text, union

from app.credentials import key_id_of
from app.models.audit import ALL_TENANTS, SYSTEM, Action, AuditEntry, Origin
from app.store.audit import record
from app.store.database import StoreBusyError, Transaction, takes_long
from app.store.schema import callbacks, credentials, known_topics, leaders, metadata, schema_compatibility
from app.store.sqlite import SqliteDatabase
from app.store.tasks import reclaim_all

OF_THE_PLACE = frozenset({leaders, known_topics, schema_compatibility})
"""These rows tell who works where. Another place has its own."""

COPIED = tuple(table for table in metadata.sorted_tables if table not in OF_THE_PLACE)

ROWS_A_BATCH = 1000
BYTES_A_BATCH = 4 * 2**20
"""A review may have a megabyte, and usually has one kilobyte."""

Tell = Callable[[str, int, int], None]
"""Is told the table, how many of its rows have been copied, and how many there are."""


class TargetNotEmptyError(Exception):
    """The database to copy into holds data already. Nothing was changed: give an empty database."""


class CopyDiffersError(Exception):
    """The copy has not as many rows as the source. Nothing was kept of it: this is a fault, report it."""


class Copied(NamedTuple):
    """Table → rows; tasks that were out and wait again; the ids of the keys that secrets were sealed with."""

    tables: Mapping[str, int]
    waiting_again: int
    key_ids: list[str]


@contextmanager
def snapshot(database: SqliteDatabase) -> Iterator[Connection]:
    """A connection on which the store stays as it is now."""
    with database.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        yield connection
        connection.exec_driver_sql("COMMIT")


@takes_long
def copy_store(target: Transaction, source: Connection, tell: Tell, by: Origin = SYSTEM) -> Copied:
    """Copy every table into the empty tables of a PostgreSQL, keys and raw bytes as they are. Holds one batch.

    Raises StoreBusyError, TargetNotEmptyError or CopyDiffersError. Tasks that were released or held wait again under a
    new version, for nobody holds them there. That `by` did it is the copy's first own entry in the audit log.
    """
    _take_for_us(target)
    tables = {table.name: _copy(target, source, table, tell) for table in COPIED}
    waiting_again = reclaim_all(target)
    _compare(target.connection, source)
    key_ids = _key_ids(target.connection)
    detail = {"rows": sum(tables.values())}
    record(target, AuditEntry(ALL_TENANTS, Action.STORE_COPY, "", by, detail))
    target.connection.exec_driver_sql("ANALYZE")  # or plans are made for empty tables until the server comes to it
    return Copied(tables, waiting_again, key_ids)


def _key_ids(connection: Connection) -> list[str]:
    """Of the keys that tokens, grants and callbacks are sealed with: a grant may be older than its job's token."""
    named = union(select(credentials.c.key_id), select(callbacks.c.key_id))
    grants = select(credentials.c.sealed_grant).where(credentials.c.sealed_grant.is_not(None))
    of_grants = (key_id_of(sealed) for sealed in connection.execute(grants).scalars())
    return sorted({*connection.execute(named).scalars(), *of_grants})


def _take_for_us(target: Transaction) -> None:
    """Nobody else writes from here on, and nobody has."""
    for setting in ("lock_timeout = '10s'", "statement_timeout = 0", "idle_in_transaction_session_timeout = 0"):
        target.connection.exec_driver_sql(f"SET LOCAL {setting}")
    names = ", ".join(table.name for table in metadata.sorted_tables)
    target.connection.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))
    led = select(leaders.c.name).where(leaders.c.lease_until > target.clock())
    if target.connection.execute(led).first() is not None:
        raise StoreBusyError("A service works on the database to copy into: stop every replica first.")
    full = [table.name for table in COPIED if target.connection.execute(select(table).limit(1)).first() is not None]
    if full:
        raise TargetNotEmptyError(f"{TargetNotEmptyError.__doc__} Not empty: {', '.join(full)}")


def _copy(target: Transaction, source: Connection, table: Table, tell: Tell) -> int:
    total, copied = _count(source, table), 0
    for batch in _batches(source, table):
        target.connection.execute(insert(table), batch)
        copied += len(batch)
        tell(table.name, copied, total)
    _continue_numbers(target.connection, table)
    return copied


def _batches(source: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    """The rows in the order of their key, so many that they are worth a round trip and no more."""
    statement = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=100)
    batch: list[dict[str, Any]] = []
    size = 0
    for row in source.execute(statement).mappings():
        batch.append(dict(row))
        size += sum(len(value) for value in row.values() if isinstance(value, (bytes, str)))
        if len(batch) >= ROWS_A_BATCH or size >= BYTES_A_BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _continue_numbers(connection: Connection, table: Table) -> None:
    """The next row's number follows the last one's: explicit numbers leave a sequence where it was."""
    numbered: Column[int] | None = table.autoincrement_column
    if numbered is None:
        return
    last = select(func.max(numbered)).scalar_subquery()
    sequence = func.pg_get_serial_sequence(table.name, numbered.name)
    connection.execute(select(func.setval(sequence, last)).where(last.is_not(None)))


def _compare(target: Connection, source: Connection) -> None:
    counts = {table.name: (_count(source, table), _count(target, table)) for table in COPIED}
    different = [f"{name}: {there} of {here}" for name, (here, there) in counts.items() if here != there]
    if different:
        raise CopyDiffersError(f"{CopyDiffersError.__doc__} {', '.join(different)}")


def _count(connection: Connection, table: Table) -> int:
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one())
