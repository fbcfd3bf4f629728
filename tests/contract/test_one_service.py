"""A service with a broker of its own is alone on its store."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.store.database import Database, StoreBusyError
from app.store.postgresql import PostgresDatabase
from app.store.sqlite import SqliteDatabase

Opening = Callable[[], Database]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def service_store(request: pytest.FixtureRequest, tmp_path: Path) -> Opening:
    """Makes the store of one more service on the same data."""
    if request.param == "sqlite":
        return lambda: SqliteDatabase(tmp_path / "store.db", exclusive=True)
    url = request.getfixturevalue("postgresql_database")
    return lambda: PostgresDatabase(url, exclusive=True)


async def test_a_second_service_is_refused_until_the_first_has_ended(service_store: Opening) -> None:
    first, second = service_store(), service_store()
    await first.start()
    with pytest.raises(StoreBusyError, match="stop it first"):
        await second.start()
    await second.close()
    await first.close()
    third = service_store()
    await third.start()
    await third.close()


async def test_to_start_twice_is_no_second_service(service_store: Opening) -> None:
    store = service_store()
    await store.start()
    await store.start()
    await store.close()
