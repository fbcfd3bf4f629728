"""The store in PostgreSQL: each unit of work in one transaction of asyncpg, by SQLAlchemy's bridge to plain code."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFreeError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.store.database import StoreBusyError, StoreUnavailableError, Transaction, is_away, postgresql_time

P = ParamSpec("P")
T = TypeVar("T")


_ALONE = 0x616C6F6E65
"""The key of the advisory lock that a lone service holds; it ends with the connection, and so with the process."""


class PostgresDatabase:
    """A database at `url` (`postgresql://user:password@host/name`). Its clock is the server's.

    `exclusive`: refuse a second service that asks for the same. A service with a broker of its own must be alone: at
    its start it takes back all tasks that are out, and another one's would be fetched twice.
    """

    def __init__(self, url: str, *, connections: int = 10, exclusive: bool = False, patience: float = 30.0) -> None:
        """`patience`: seconds for which a transaction waits until one of the `connections` is free."""
        self._url = make_url(url).set(drivername="postgresql+asyncpg")
        self._connections = connections
        self._exclusive = exclusive
        self._patience = patience
        self._engine: AsyncEngine | None = None
        self._alone: AsyncConnection | None = None

    async def start(self) -> None:
        if self._engine is None:
            self._engine = create_async_engine(
                self._url,
                pool_size=self._connections + self._exclusive,
                max_overflow=0,
                pool_timeout=self._patience,
                pool_pre_ping=True,
                hide_parameters=True,
            )
        await self.version()
        if self._exclusive and self._alone is None:
            await self._be_alone(self._engine)

    async def _be_alone(self, engine: AsyncEngine) -> None:
        connection = await engine.connect()
        lock = await connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_ALONE})")
        if not lock.scalar_one():
            await connection.close()
            raise StoreBusyError(StoreBusyError.__doc__)
        await connection.commit()
        self._alone = connection

    async def close(self) -> None:
        if self._alone is not None:
            await self._alone.close()
            self._alone = None
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    async def write(self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(work, *args, **kwargs)

    async def read(self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(work, *args, **kwargs)

    async def version(self) -> str:
        return await self.read(_version)

    async def _run(self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._engine is None:
            raise StoreUnavailableError("The store is closed.")
        try:
            async with self._engine.begin() as connection:
                return await connection.run_sync(
                    lambda plain: work(Transaction(plain, postgresql_time(plain)), *args, **kwargs)
                )
        except NoConnectionFreeError as error:
            raise StoreUnavailableError(f"PostgreSQL: no connection was free for {self._patience:g} s") from error
        except (DBAPIError, OSError) as error:
            if isinstance(error, DBAPIError) and not is_away(error):
                raise
            raise StoreUnavailableError(f"PostgreSQL: {getattr(error, 'orig', error)}") from error


def _version(transaction: Transaction) -> str:
    version = transaction.connection.exec_driver_sql("SHOW server_version").scalar_one()
    return f"PostgreSQL {version}"
