"""The store in one SQLite file: one writer thread that groups what waits into one commit, and a few reader threads.

SQLite has one writer at a time, and a commit costs a sync of the disk: so units of work that arrive while a commit is
under way share the next one. When a group fails, its units run again one by one, and only the guilty one fails.
"""

import asyncio
import fcntl
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from app.clock import Clock, SystemClock
from app.models.pools import Pool, pool_of
from app.store.database import StoreBusyError, StoreUnavailableError, Transaction, is_away
from app.store.sqlite_engine import sqlite_engine, truncate_log

P = ParamSpec("P")
T = TypeVar("T")

UNITS_A_COMMIT = 128
"""More would only lengthen the wait of the first: beyond about 1,000 rows a commit is no cheaper per row."""

READERS = 3
"""Enough to keep an export and the API's reads apart; each holds a connection with a small cache."""

TRUNCATE_SECONDS = 60.0
"""After a commit the log is made empty within this, so that what was wiped is gone from it."""

RETRY_SECONDS = 1.0
"""When a reader was in the way of that."""

BUSY_TIMEOUT_MS = 2000
"""How long a commit waits for a command beside the service: longer than such a command needs, short of a time-out."""


class _Unit:
    """One piece of work that waits for its commit, and where its answer goes."""

    __slots__ = ("answer", "error", "future", "result", "work")

    def __init__(self, work: Callable[[Transaction], Any], future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None

    def resolve(self) -> None:
        """Hand over result or error, on the event loop; whoever was cancelled meanwhile does not care."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class SqliteDatabase:
    """A file at `path`. `exclusive` is for the service: it refuses a second service on the same file.

    A command beside a running service opens it with `exclusive=False`, which also leaves checkpoints to the service
    (SQLite before 3.51.3 can lose a WAL when several connections checkpoint). `committed` is told, by the writer's
    thread, how many units of work each commit held.
    """

    system = "sqlite"

    def __init__(
        self,
        path: Path,
        *,
        exclusive: bool,
        clock: Clock | None = None,
        committed: Callable[[int], None] | None = None,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
        truncate_seconds: float = TRUNCATE_SECONDS,
    ) -> None:
        self._path = path
        self._exclusive = exclusive
        self._clock = clock or SystemClock()
        self._committed = committed
        self._busy_timeout_ms = busy_timeout_ms
        self._truncate_seconds = truncate_seconds
        self._truncate_at: float | None = None
        self._engine: Engine | None = None
        self._lock_file: IO[str] | None = None
        self._waiting: deque[_Unit] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._committing = False
        self._reading = 0
        self._writer: threading.Thread | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._reader_connections: list[Connection] = []

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            raise StoreUnavailableError("The store is not open.")
        return self._engine

    async def start(self) -> None:
        if self._engine is not None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock()
        except OSError as error:
            raise StoreUnavailableError(f"SQLite: {self._path} cannot be used: {error.strerror or error}") from error
        self._engine = sqlite_engine(self._path, self._busy_timeout_ms, checkpoints=self._exclusive)
        self._closing = False
        self._truncate_at = time.monotonic() + self._truncate_seconds if self._exclusive else None
        self._loop = asyncio.get_running_loop()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="sqlite-reader")
        self._writer = threading.Thread(target=self._write_loop, name="sqlite-writer", daemon=True)
        self._writer.start()
        await self.read(lambda transaction: transaction.connection.exec_driver_sql("SELECT 1"))

    async def close(self) -> None:
        """Commits what waits, then lets the file go."""
        if self._engine is None or self._writer is None or self._readers is None:
            return
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._reader_connections:
            connection.close()
        self._reader_connections.clear()
        self._local = threading.local()
        self._engine.dispose()
        self._engine = None
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    async def write(self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        unit = _Unit(partial(_call, work, args, kwargs), future)
        with self._wake:
            if self._closing or self._engine is None:
                raise StoreUnavailableError("The store is closed.")
            self._waiting.append(unit)
            self._wake.notify()
        return await future

    async def read(self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._readers is None or self._engine is None:
            raise StoreUnavailableError("The store is closed.")
        unit = partial(self._read, partial(_call, work, args, kwargs))
        self._reading += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._readers, unit)
        finally:
            self._reading -= 1

    async def check(self) -> None:
        await self.read(lambda transaction: transaction.connection.exec_driver_sql("SELECT 1"))

    async def version(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    def pools(self) -> dict[str, Pool]:
        """One writer, which takes what waits together, and a few readers."""
        writer = Pool(int(self._committing), len(self._waiting), 1)
        return {"store_writer": writer, "store_readers": pool_of(self._reading, READERS)}

    def _lock(self) -> None:
        if not self._exclusive:
            return
        lock_file = self._path.with_name(self._path.name + ".lock").open("w")
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock_file.close()
            raise StoreBusyError(f"{StoreBusyError.__doc__} File: {self._path}") from error
        os.set_inheritable(lock_file.fileno(), False)
        self._lock_file = lock_file

    def _read(self, work: Callable[[Transaction], T]) -> T:
        connection: Connection | None = getattr(self._local, "connection", None)
        try:
            if connection is None:
                connection = self.engine.connect()
                self._local.connection = connection
                self._reader_connections.append(connection)
            connection.exec_driver_sql("BEGIN")
            try:
                return work(Transaction(connection, self._clock.now()))
            finally:
                connection.exec_driver_sql("COMMIT")
        except DBAPIError as error:
            raise _told(error) from error

    def _write_loop(self) -> None:
        connection: Connection | None = None
        while (group := self._next_group()) is not None:
            try:
                connection = connection or self.engine.connect()
                if group:
                    self._committing = True
                    self._commit(connection, group)
            except DBAPIError as error:
                for unit in group:
                    unit.error = unit.error or _told(error)
            self._committing = False
            self._loop.call_soon_threadsafe(_resolve, group)
            if connection is not None:
                self._keep_log_short(connection, written=bool(group))
        if connection is not None:
            connection.close()

    def _next_group(self) -> list[_Unit] | None:
        """What waits; nothing when the log is to be made empty first, None at the end."""
        with self._wake:
            while not self._waiting and not self._closing:
                if not self._wake.wait(self._until_truncation()):
                    return []
            if not self._waiting:
                return None
            count = min(len(self._waiting), UNITS_A_COMMIT)
            return [self._waiting.popleft() for _ in range(count)]

    def _until_truncation(self) -> float | None:
        return None if self._truncate_at is None else max(0.0, self._truncate_at - time.monotonic())

    def _keep_log_short(self, connection: Connection, *, written: bool) -> None:
        """While there is something in it, once in `truncate_seconds`."""
        if not self._exclusive:
            return
        now = time.monotonic()
        if self._truncate_at is None and written:
            self._truncate_at = now + self._truncate_seconds
        elif self._truncate_at is not None and now >= self._truncate_at:
            done = truncate_log(connection, self._busy_timeout_ms)
            self._truncate_at = None if done else now + RETRY_SECONDS

    def _commit(self, connection: Connection, group: list[_Unit]) -> None:
        """All in one transaction; if that fails, each in its own, unless each would only wait for the lock again."""
        try:
            self._run(connection, group)
        except Exception as error:
            if len(group) == 1 or _is_locked(error):
                for unit in group:
                    unit.error = _told(error)
                return
            for unit in group:
                self._commit(connection, [unit])

    def _run(self, connection: Connection, group: list[_Unit]) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            transaction = Transaction(connection, self._clock.now())
            for unit in group:
                _do(unit, transaction)
            connection.exec_driver_sql("COMMIT")
            if self._committed is not None:
                self._committed(len(group))
        except BaseException:
            if connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr] # sqlite3's own
                connection.exec_driver_sql("ROLLBACK")
            raise


def _call(work: Callable[..., T], args: Any, kwargs: Any, transaction: Transaction) -> T:
    return work(transaction, *args, **kwargs)


def _resolve(group: list[_Unit]) -> None:
    for unit in group:
        unit.resolve()


def _is_locked(error: Exception) -> bool:
    """Another connection kept the write lock for longer than `busy_timeout`."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY


def _told(error: Exception) -> Exception:
    """The error as the waiter gets it."""
    if isinstance(error, DBAPIError) and is_away(error):
        return StoreUnavailableError(f"SQLite: {error.orig}")
    return error


def _do(unit: _Unit, transaction: Transaction) -> None:
    """An error of work that has written nothing (an unknown job, say) is its own affair: the group goes on."""
    connection = transaction.connection.connection.dbapi_connection
    written = connection.total_changes  # type: ignore[union-attr] # sqlite3's own
    unit.error = None
    try:
        unit.result = unit.work(transaction)
    except DBAPIError:
        raise
    except Exception as error:
        if connection.total_changes != written:  # type: ignore[union-attr] # sqlite3's own
            raise
        unit.error = error
