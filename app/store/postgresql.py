"""The store in PostgreSQL: each unit of work in one transaction of asyncpg, by SQLAlchemy's bridge to plain code."""

import asyncio
import random
from collections.abc import Callable
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

import asyncpg
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from app.models.pools import Pool, pool_of
from app.store.database import StoreBusyError, StoreUnavailableError, Transaction, may_take_long, place_of
from app.store.lanes import Lanes
from app.store.postgresql_errors import may_start_over, told
from app.store.postgresql_servers import Servers
from app.store.postgresql_transaction import transact

P = ParamSpec("P")
T = TypeVar("T")

CONNECT_SECONDS = 4.0
"""A server that does not answer for so long is away. POST answers within 10 s and readiness within 5 s."""

STARTS = 5
"""How often work is begun that the server undid for another's sake, or whose connection broke before its COMMIT."""

FIRST_PAUSE_SECONDS = 0.01
CLOSE_SECONDS = 2.0

_SESSION = {"application_name": "review-fetcher", "idle_in_transaction_session_timeout": "3s", "jit": "off"}
"""A process that is frozen within a transaction keeps rows from all others, the publisher's head among them: no longer
than its leases of leadership.

Short statements on large tables look dear to a planner, and to compile them takes longer than to run them.
"""

_ALONE = 0x616C6F6E65
"""The key of the advisory lock that a lone service holds; it ends with the connection, and so with the process."""


class PostgresDatabase:
    """A database at `url` (`postgresql://user:password@host/name`). Its clock is the server's. Of several hosts
    (`@primary,standby/name`) the one that takes writes is used.

    `exclusive`: refuse a second service that asks for the same. A service with a broker of its own must be alone: at
    its start it takes back all tasks that are out, and another one's would be fetched twice.
    """

    system = "postgresql"

    def __init__(
        self,
        url: str,
        *,
        connections: int = 10,
        exclusive: bool = False,
        patience: float = 4.0,
        deadline: float = 12.0,
        committed: Callable[[int], None] = lambda _units: None,
    ) -> None:
        """`patience`: seconds for which a transaction waits until one of the `connections` is free.

        `deadline`: seconds after which work that has not ended is cut off, and the server taken for away.

        `committed` is told how many units of work each commit of a write held.
        """
        self._servers = Servers(url)
        self._connections = connections
        self._exclusive = exclusive
        self._patience = patience
        self._deadline = deadline
        self._engine: AsyncEngine | None = None
        self._asking = 0
        self._committed = committed
        self._lanes = Lanes(self._limited, committed)
        self._alone: asyncpg.Connection | None = None

    async def start(self) -> None:
        if self._engine is None:
            self._engine = self._new_engine()
        await self.check()

    async def close(self) -> None:
        await self._lanes.close(CLOSE_SECONDS)
        if self._alone is not None:
            self._alone.terminate()
            self._alone = None
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()

    async def write(self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        place = place_of(work)
        if place is None:
            result = await self.read(work, *args, **kwargs)
            self._committed(1)
            return result
        if self._engine is None:
            raise StoreUnavailableError("The store is closed.")
        try:
            async with asyncio.timeout(self._deadline):
                return await self._lanes.run(place(*args, **kwargs), partial(_call, work, args, kwargs))
        except TimeoutError as error:
            raise self._late() from error

    async def read(self, work: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        unit = partial(_call, work, args, kwargs)
        return await (self._run(unit) if may_take_long(work) else self._limited(unit))

    async def version(self) -> str:
        return await self.read(_version)

    def pools(self) -> dict[str, Pool]:
        """Connections, and the lanes of work that shares transactions."""
        return {"store_connections": pool_of(self._asking, self._connections), "store_lanes": self._lanes.pool()}

    async def check(self) -> None:
        await self.version()
        if self._exclusive:
            await self._be_alone()

    async def _be_alone(self) -> None:
        """The lock goes with its connection: a service that lost it takes it again, unless another was faster."""
        if self._alone is not None and await _answers(self._alone):
            return
        try:
            self._alone = await self._locked()
        except Exception as error:
            raise told(error) from error

    async def _locked(self) -> asyncpg.Connection:
        connection = await self._connect()
        try:
            if not await connection.fetchval(f"SELECT pg_try_advisory_lock({_ALONE})", timeout=CONNECT_SECONDS):
                raise StoreBusyError(StoreBusyError.__doc__)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _limited(self, work: Callable[[Transaction], T]) -> T:
        try:
            async with asyncio.timeout(self._deadline):
                return await self._run(work)
        except TimeoutError as error:
            raise self._late() from error

    def _late(self) -> StoreUnavailableError:
        return StoreUnavailableError(f"PostgreSQL: no answer within {self._deadline:g} s")

    async def _run(self, work: Callable[[Transaction], T]) -> T:
        for start in range(STARTS):
            try:
                return await self._once(work)
            except Exception as error:
                if start == STARTS - 1 or not may_start_over(error):
                    raise told(error) from error
            await asyncio.sleep(random.uniform(0.5, 1.0) * FIRST_PAUSE_SECONDS * 2**start)  # noqa: S311 - no secret
        raise AssertionError("unreachable")

    async def _once(self, work: Callable[[Transaction], T]) -> T:
        if self._engine is None:
            raise StoreUnavailableError("The store is closed.")
        engine = self._engine.sync_engine

        def run() -> T:
            with engine.connect() as connection:
                return transact(connection, work)

        self._asking += 1
        try:
            return await greenlet_spawn(run)
        finally:
            self._asking -= 1

    async def _connect(self, *_: Any, **__: Any) -> asyncpg.Connection:
        return await self._servers.connect(CONNECT_SECONDS, server_settings=_SESSION)

    def _new_engine(self) -> AsyncEngine:
        """AUTOCOMMIT leaves BEGIN to us. A connection that is known to be broken is left out when one is taken."""
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            isolation_level="AUTOCOMMIT",
            pool_size=self._connections,
            max_overflow=0,
            pool_timeout=self._patience,
            hide_parameters=True,
        )

        @event.listens_for(engine.sync_engine, "checkout")
        def _check(connection: Any, _record: object, _proxy: object) -> None:
            if connection.driver_connection.is_closed():
                raise DisconnectionError

        return engine


async def _answers(connection: asyncpg.Connection) -> bool:
    try:
        await connection.execute("SELECT 1", timeout=CONNECT_SECONDS)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError):
        connection.terminate()
        return False
    return True


def _call(work: Callable[..., T], args: Any, kwargs: Any, transaction: Transaction) -> T:
    return work(transaction, *args, **kwargs)


def _version(transaction: Transaction) -> str:
    version = transaction.connection.exec_driver_sql("SHOW server_version").scalar_one()
    return f"PostgreSQL {version}"
