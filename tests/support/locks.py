"""Races on PostgreSQL made certain: hold a lock, and know when the other side waits for it."""

import asyncio

import asyncpg


async def until_somebody_waits(connection: asyncpg.Connection, number: int = 1) -> None:
    """Returns when so many transactions of the same database wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(30):
        while await connection.fetchval(waiting) < number:
            await connection.execute("SELECT pg_stat_clear_snapshot()")
