"""The store in PostgreSQL: each unit of work in one transaction of asyncpg, by SQLAlchemy's bridge to plain code."""

from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.store.database import StoreUnavailableError, Transaction, postgresql_time

P = ParamSpec("P")
T = TypeVar("T")


class PostgresDatabase:
    """A database at `url` (`postgresql://user:password@host/name`). Its clock is the server's."""

    def __init__(self, url: str, *, connections: int = 10) -> None:
        self._url = make_url(url).set(drivername="postgresql+asyncpg")
        self._connections = connections
        self._engine: AsyncEngine | None = None

    async def start(self) -> None:
        if self._engine is None:
            self._engine = create_async_engine(
                self._url,
                pool_size=self._connections,
                max_overflow=0,
                pool_pre_ping=True,
                hide_parameters=True,
            )
        await self.version()

    async def close(self) -> None:
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
        except (DBAPIError, OSError) as error:
            raise StoreUnavailableError(f"PostgreSQL: {getattr(error, 'orig', error)}") from error


def _version(transaction: Transaction) -> str:
    version = transaction.connection.exec_driver_sql("SHOW server_version").scalar_one()
    return f"PostgreSQL {version}"
