"""Races on PostgreSQL made certain: hold a lock, and know when the other side waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg


async def until_somebody_waits(connection: asyncpg.Connection, number: int = 1) -> None:
    """Returns when so many transactions of the same database wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(30):
        while await connection.fetchval(waiting) < number:
            await connection.execute("SELECT pg_stat_clear_snapshot()")


@asynccontextmanager
async def held_rows(url: str, table: str) -> AsyncIterator[asyncpg.Connection]:
    """The locks of a table's rows, held until the block ends."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"SELECT 1 FROM {table} FOR UPDATE")  # noqa: S608 - a name of ours
            yield connection
    finally:
        await connection.close()
