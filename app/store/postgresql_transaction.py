"""One transaction of PostgreSQL, from BEGIN to COMMIT, on a connection of SQLAlchemy's pool.

What runs for every page goes straight to asyncpg as a prepared statement: SQLAlchemy's cursor costs more CPU than all
else that the service does for such a statement. Everything runs inside `greenlet_spawn`, where `await_only` waits.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Connection, Table
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.util import await_only

from app.store.database import Rows, Transaction, insert_of_arrays, insert_of_rows
from app.store.postgresql_errors import LostConnectionError, cause_of

T = TypeVar("T")

USUAL_ROWS = (1, 50)
"""What a page of 50 inserts. As rows of parameters that takes the client half the CPU of arrays (0.4 ms for 0.75), but
each number of rows is a statement to prepare, 2 ms on each connection: all others go as arrays."""

_STATEMENTS = "statements"
_NO_COLUMNS = SimpleResultMetaData(())


class PostgresTransaction(Transaction):
    """`now` is asked of the server when it is wanted first: many transactions never want it."""

    def __init__(self, connection: Connection, driver: asyncpg.Connection) -> None:
        self.connection = connection
        self._driver = driver
        self._statements: dict[str, tuple[Any, SimpleResultMetaData]] = connection.info.setdefault(_STATEMENTS, {})
        self._started: float | None = None

    @property
    def now(self) -> float:
        if self._started is None:
            self._started = float(self.run("SELECT extract(epoch FROM now())::float8", ()).scalar_one())
        return self._started

    def clock(self) -> float:
        return float(self.run("SELECT extract(epoch FROM clock_timestamp())::float8", ()).scalar_one())

    def run(self, statement: str, values: tuple[Any, ...]) -> Rows:
        prepared, columns = self._statements.get(statement) or self._prepare(statement)
        records = await_only(prepared.fetch(*values))
        rows = Rows(columns, iter([tuple(record) for record in records]))
        rows.rowcount = int(prepared.get_statusmsg().rpartition(" ")[2])
        return rows

    def fetch(self, statement: str, values: tuple[Any, ...]) -> Sequence[Sequence[Any]]:
        prepared, _ = self._statements.get(statement) or self._prepare(statement)
        records: list[Sequence[Any]] = await_only(prepared.fetch(*values))
        return records

    def _prepare(self, statement: str) -> tuple[Any, SimpleResultMetaData]:
        prepared = await_only(self._driver.prepare(statement))
        columns = [attribute.name for attribute in prepared.get_attributes()]
        self._statements[statement] = prepared, SimpleResultMetaData(columns) if columns else _NO_COLUMNS
        return self._statements[statement]

    def _insert(self, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> str:
        if len(rows) in USUAL_ROWS:
            return insert_of_rows(table, columns, len(rows), numbered=True)
        return insert_of_arrays(table, columns)

    def _values(self, rows: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
        if len(rows) in USUAL_ROWS:
            return super()._values(rows)
        return tuple(zip(*rows, strict=True))


def transact(connection: Connection, work: Callable[[Transaction], T]) -> T:
    """Run the work and commit, or undo all of it. What is in doubt afterwards does not go back to the pool."""
    driver: asyncpg.Connection = connection.connection.driver_connection
    sent = False
    try:
        await_only(driver.execute("BEGIN"))
        result = work(PostgresTransaction(connection, driver))
        sent = True
        _commit(driver)
    except BaseException as error:
        _undo(connection, driver, error)
        if driver.is_closed() and not sent and isinstance(error, Exception) and not isinstance(error, TimeoutError):
            raise LostConnectionError(f"{type(error).__name__}: {error}") from error
        raise
    return result


def _commit(driver: asyncpg.Connection) -> None:
    """COMMIT of a transaction that has failed on the way is answered by ROLLBACK, and by no error."""
    if await_only(driver.execute("COMMIT")) != "COMMIT":
        raise asyncpg.InFailedSQLTransactionError("the transaction had failed before its end")


def _undo(connection: Connection, driver: asyncpg.Connection, error: BaseException) -> None:
    # A server that takes no writes any more has been followed by another, which only a new connection finds.
    usable = isinstance(error, Exception) and not isinstance(cause_of(error), asyncpg.ReadOnlySQLTransactionError)
    try:
        if usable and not driver.is_closed():
            await_only(driver.execute("ROLLBACK"))
            return
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        pass  # the caller gets the first error
    driver.terminate()
    connection.invalidate()
