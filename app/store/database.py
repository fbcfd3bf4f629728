"""The port of the store: run plain synchronous work in one transaction of a database.

The work of a transaction is an ordinary function over SQLAlchemy Core: it decides and writes, and the two adapters
(`sqlite`, `postgresql`) bring it to their database each in its own way. So there is one code path for both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import ClauseElement, Connection, CursorResult, Dialect, Table
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.sql.compiler import SQLCompiler

P = ParamSpec("P")
T = TypeVar("T")


class StoreUnavailableError(Exception):
    """The database did not take the transaction (away, locked, full). Nothing of it is known to be written."""


class StoreBusyError(Exception):
    """Another service process works on this store. With the in-process broker there can be only one: stop it first."""


def is_away(error: DBAPIError) -> bool:
    """Whether the database may take the same work later. What it refuses for its content it refuses for ever."""
    return not isinstance(error, (DataError, IntegrityError, NotSupportedError, ProgrammingError))


@dataclass(frozen=True, slots=True)
class Transaction:
    """One open transaction. `now` is the database's time at its start, in seconds since 1970."""

    connection: Connection
    now: float

    def clock(self) -> float:
        """The database's time now, later than `now` where this transaction had to wait for a lock."""
        if self.connection.dialect.name == "postgresql":
            return postgresql_time(self.connection)
        return self.now

    def insert_ignore(self, table: Table, rows: Sequence[dict[str, Any]]) -> int:
        """Insert rows, in the given order, leaving out those whose unique key is taken. Returns how many were new."""
        if not rows:
            return 0
        columns = tuple(rows[0])
        return self.insert_tuples(table, columns, [tuple(row.values()) for row in rows])

    def insert_tuples(self, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> int:
        """`insert_ignore` for rows that are tuples already, in the order of `columns`."""
        inserted = 0
        for start in range(0, len(rows), _ROWS_A_STATEMENT):
            chunk = rows[start : start + _ROWS_A_STATEMENT]
            statement = _insert_statement(self.connection.dialect.name, table, columns, len(chunk))
            values = tuple(chain.from_iterable(chunk))
            inserted += max(0, self.connection.exec_driver_sql(statement, values).rowcount)
        return inserted

    def insert_numbered(
        self, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]], number: str
    ) -> list[int]:
        """`insert_tuples` for one statement's worth of rows, returning the new rows' values of `number`."""
        statement = _insert_statement(self.connection.dialect.name, table, columns, len(rows))
        values = tuple(chain.from_iterable(rows))
        numbers = self.connection.exec_driver_sql(f"{statement} RETURNING {number}", values)
        return list(numbers.scalars())

    def insert_or_keep(self, table: Table) -> Any:
        """An INSERT construct of the dialect that has `on_conflict_do_nothing` and `on_conflict_do_update`."""
        if self.connection.dialect.name == "postgresql":
            return postgresql_insert(table)
        return sqlite_insert(table)


def postgresql_time(connection: Connection) -> float:
    return float(connection.exec_driver_sql("SELECT extract(epoch FROM clock_timestamp())::float8").scalar_one())


_ROWS_A_STATEMENT = 500
"""Both databases cap the parameters of a statement (32,766); our widest row has 20."""


@lru_cache(maxsize=512)
def _insert_statement(dialect: str, table: Table, columns: tuple[str, ...], rows: int) -> str:
    """One INSERT of many rows as text. SQLAlchemy compiles such a statement anew each time, 2 ms for 50 rows."""
    unknown = set(columns) - {column.name for column in table.columns}
    if unknown:
        raise ValueError(f"{table.name} has no columns {sorted(unknown)}")
    count = rows * len(columns)
    marks = [f"${n}" for n in range(1, count + 1)] if dialect == "postgresql" else ["?"] * count
    width = len(columns)
    values = ",".join("(" + ",".join(marks[at : at + width]) + ")" for at in range(0, count, width))
    names = ", ".join(columns)
    return f"INSERT INTO {table.name} ({names}) VALUES {values} ON CONFLICT DO NOTHING"  # noqa: S608


class HotStatement:
    """A statement that runs for every page: compiled once a dialect.

    What SQLAlchemy does at each execution of an expression costs more than SQLite needs to run it.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}

    def execute(self, transaction: Transaction, values: Mapping[str, Any]) -> CursorResult[*tuple[Any, ...]]:
        """`values` by the names of the statement's parameters."""
        dialect = transaction.connection.dialect
        text, names, constants = self._compiled.get(dialect.name) or self._compile(dialect)
        parameters = tuple(values[name] if name in values else constants[name] for name in names)
        return transaction.connection.exec_driver_sql(text, parameters)

    def _compile(self, dialect: Dialect) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        compiled = self._statement.compile(dialect=dialect)
        if not isinstance(compiled, SQLCompiler) or compiled.positiontup is None:
            raise TypeError(f"{dialect.name} does not take its parameters by position")
        self._compiled[dialect.name] = (str(compiled), tuple(compiled.positiontup), dict(compiled.params))
        return self._compiled[dialect.name]


class Database(Protocol):
    """Where transactions run. Both methods raise what the work raises, else `StoreUnavailableError`.

    What the database refuses for its content (`is_away` is False) comes as it is: to try again would not help.

    The work may run more than once (a group commit that failed is run again one by one) and off the event loop: it
    touches only its arguments and the transaction.
    """

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def write(self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def read(self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def version(self) -> str:
        """The server's name and version, for people."""
        ...
