"""The port of the store: run plain synchronous work in one transaction of a database.

The work of a transaction is an ordinary function over SQLAlchemy Core: it decides and writes, and the two adapters
(`sqlite`, `postgresql`) bring it to their database each in its own way. So there is one code path for both.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import ClauseElement, Connection, CursorResult, Dialect, IteratorResult, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.sql.compiler import SQLCompiler

from app.models.pools import Pool

P = ParamSpec("P")
T = TypeVar("T")
Work = TypeVar("Work", bound=Callable[..., Any])


class StoreUnavailableError(Exception):
    """The database did not take the transaction (away, locked, full). Nothing of it is known to be written."""


class StoreBusyError(Exception):
    """Another service process works on this store. With the in-process broker there can be only one: stop it first."""


def is_away(error: DBAPIError) -> bool:
    """Whether the database may take the same work later. What it refuses for its content it refuses for ever."""
    return not isinstance(error, (DataError, IntegrityError, NotSupportedError, ProgrammingError))


class Rows(IteratorResult[*tuple[Any, ...]]):
    """The answer to a statement that did not go through SQLAlchemy's cursor; `rowcount` as there."""

    rowcount: int = -1


class Transaction:
    """One open transaction. `now` is the database's time at its start, in seconds since 1970."""

    def __init__(self, connection: Connection, now: float) -> None:
        self.connection = connection
        self._now = now

    @property
    def now(self) -> float:
        return self._now

    def clock(self) -> float:
        """The database's time now, later than `now` where this transaction had to wait for a lock."""
        return self.now

    def run(self, statement: str, values: tuple[Any, ...]) -> CursorResult[*tuple[Any, ...]] | Rows:
        """A statement in the database's own words, its parameters by position."""
        return self.connection.exec_driver_sql(statement, values)

    def fetch(self, statement: str, values: tuple[Any, ...]) -> Sequence[Sequence[Any]]:
        """The rows of `run`, all of them."""
        return self.run(statement, values).all()

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
            inserted += max(0, self.run(self._insert(table, columns, chunk), self._values(chunk)).rowcount)
        return inserted

    def insert_numbered(
        self, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]], number: str
    ) -> list[int]:
        """`insert_tuples` for one statement's worth of rows, returning the new rows' values of `number`."""
        numbers = self.run(f"{self._insert(table, columns, rows)} RETURNING {number}", self._values(rows))
        return list(numbers.scalars())

    def _insert(self, table: Table, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> str:
        return insert_of_rows(table, columns, len(rows))

    def _values(self, rows: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
        return tuple(chain.from_iterable(rows))

    def insert_or_keep(self, table: Table) -> Any:
        """An INSERT construct of the dialect that has `on_conflict_do_nothing` and `on_conflict_do_update`."""
        if self.connection.dialect.name == "postgresql":
            return postgresql_insert(table)
        return sqlite_insert(table)


_ROWS_A_STATEMENT = 500
"""Both databases cap the parameters of a statement (32,766); our widest row has 20."""


@lru_cache(maxsize=512)
def insert_of_rows(table: Table, columns: tuple[str, ...], rows: int, *, numbered: bool = False) -> str:
    """One INSERT of many rows as text. SQLAlchemy compiles such a statement anew each time, 2 ms for 50 rows.

    `numbered`: its parameters are `$1`, `$2` …, PostgreSQL's way, instead of `?`.
    """
    _check_columns(table, columns)
    width = len(columns)
    marks = [f"${number}" if numbered else "?" for number in range(1, rows * width + 1)]
    values = ",".join(f"({','.join(marks[at : at + width])})" for at in range(0, len(marks), width))
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {values} ON CONFLICT DO NOTHING"  # noqa: S608


@lru_cache(maxsize=512)
def insert_of_arrays(table: Table, columns: tuple[str, ...]) -> str:
    """The same for PostgreSQL, an array for each column: prepared once for any number of rows."""
    _check_columns(table, columns)
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy's own
    types = [table.c[name].type.compile(dialect=dialect) for name in columns]
    arrays = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(types, 1))
    names = ", ".join(columns)
    return f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"  # noqa: S608


def _check_columns(table: Table, columns: tuple[str, ...]) -> None:
    unknown = set(columns) - {column.name for column in table.columns}
    if unknown:
        raise ValueError(f"{table.name} has no columns {sorted(unknown)}")


class HotStatement:
    """A statement that runs for every page: compiled once a dialect.

    What SQLAlchemy does at each execution of an expression costs more than SQLite needs to run it.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, tuple[str, ...], dict[str, Any]]] = {}

    def execute(self, transaction: Transaction, values: Mapping[str, Any]) -> CursorResult[*tuple[Any, ...]] | Rows:
        """`values` by the names of the statement's parameters."""
        return transaction.run(*self._bound(transaction, values))

    def fetch(self, transaction: Transaction, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """The rows of `execute`, for many of them: the driver's own, where SQLAlchemy's cost 5 µs more each."""
        return transaction.fetch(*self._bound(transaction, values))

    def _bound(self, transaction: Transaction, values: Mapping[str, Any]) -> tuple[str, tuple[Any, ...]]:
        """The statement and its parameters, as the driver takes them."""
        dialect = transaction.connection.dialect
        text, names, constants = self._compiled.get(dialect.name) or self._compile(dialect)
        return text, tuple(values[name] if name in values else constants[name] for name in names)

    def _compile(self, dialect: Dialect) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        compiled = self._statement.compile(dialect=dialect)
        if not isinstance(compiled, SQLCompiler) or compiled.positiontup is None:
            raise TypeError(f"{dialect.name} does not take its parameters by position")
        self._compiled[dialect.name] = (str(compiled), tuple(compiled.positiontup), dict(compiled.params))
        return self._compiled[dialect.name]


_TOGETHER = "commits_together"
_LONG = "takes_long"

Place = tuple[str, int]
"""The key of a unit of work, and its rank among those of its key."""


def _same_rank(*_: Any, **__: Any) -> int:
    return 0


def commits_together(key: Callable[..., str], rank: Callable[..., int] = _same_rank) -> Callable[[Work], Work]:
    """Marks work that runs so often, and waits so much for the same rows, that units of it best share a transaction.

    `key` and `rank` take the arguments of the work. Units of one key fight for the same rows. Those that share a
    transaction run in the order of their keys and of their ranks in it, so that nobody who takes rows in this order
    waits for them in a circle.
    """

    def mark(work: Work) -> Work:
        vars(work)[_TOGETHER] = lambda *args, **kwargs: (key(*args, **kwargs), rank(*args, **kwargs))
        return work

    return mark


def place_of(work: Callable[..., Any]) -> Callable[..., Place] | None:
    """What `commits_together` said about the work."""
    place: Callable[..., Place] | None = getattr(work, _TOGETHER, None)
    return place


def takes_long(work: Work) -> Work:
    """Marks work that no deadline may cut off: a migration of large tables, or the wait for another's."""
    vars(work)[_LONG] = True
    return work


def may_take_long(work: Callable[..., Any]) -> bool:
    return getattr(work, _LONG, False)


class Database(Protocol):
    """Where transactions run. Both methods raise what the work raises, else `StoreUnavailableError`.

    What the database refuses for its content (`is_away` is False) comes as it is: to try again would not help.

    The work may run more than once (a group commit that failed is run again one by one) and off the event loop: it
    touches only its arguments and the transaction.
    """

    system: str
    """What it is called in traces."""

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def write(self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def read(self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def check(self) -> None:
        """Raises `StoreUnavailableError` when it does not answer, `StoreBusyError` when another service took it."""
        ...

    async def version(self) -> str:
        """The server's name and version, for people."""
        ...

    def pools(self) -> dict[str, Pool]:
        """What work of this process waits for, by name."""
        ...
