"""Every port's suite runs over every adapter of it."""

from collections.abc import AsyncIterator
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
    postgres = PostgresDatabase(request.getfixturevalue("postgresql_database"))
    await postgres.start()
    try:
        await postgres.write(migrate)
        yield postgres
    finally:
        await postgres.close()
