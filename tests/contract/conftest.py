"""Every port's suite runs over every adapter of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.store.database import Database
from app.store.migrate import migrate
from app.store.postgresql import PostgresDatabase
from tests.support.store import sqlite_database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        async with sqlite_database(tmp_path) as opened:
            yield opened
        return
    async with _postgresql_database(request.getfixturevalue("postgresql_database")) as opened:
        yield opened


@pytest.fixture
async def store(postgresql_database: str) -> AsyncIterator[PostgresDatabase]:
    """For races of several connections, which SQLite cannot have."""
    async with _postgresql_database(postgresql_database) as opened:
        yield opened


@pytest.fixture
async def other_store(store: PostgresDatabase, postgresql_database: str) -> AsyncIterator[PostgresDatabase]:
    """The same database as another replica has it open: one alone lets settles of a job take turns."""
    async with _postgresql_database(postgresql_database) as opened:
        yield opened


@asynccontextmanager
async def _postgresql_database(url: str) -> AsyncIterator[PostgresDatabase]:
    database = PostgresDatabase(url)
    await database.start()
    try:
        await database.write(migrate)
        yield database
    finally:
        await database.close()
