"""The migrations lead to the schema that the code works with, on every database."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from app.store.database import Database, Transaction
from app.store.migrate import SchemaTooNewError, head_revision, migrate, revision
from app.store.schema import metadata


def _differences(transaction: Transaction) -> list[object]:
    context = MigrationContext.configure(transaction.connection, opts={"compare_type": False})
    return list(compare_metadata(context, metadata))


def _pretend(transaction: Transaction, number: str) -> None:
    transaction.connection.execute(text("UPDATE alembic_version SET version_num = :number"), {"number": number})


async def test_the_migrations_create_the_schema(database: Database) -> None:
    assert await database.read(_differences) == []


async def test_a_missing_table_is_seen_by_that_comparison(database: Database) -> None:
    await database.write(lambda transaction: transaction.connection.execute(text("DROP TABLE outbox")))
    assert await database.read(_differences) != []


async def test_migrating_again_changes_nothing(database: Database) -> None:
    assert await database.write(migrate) == head_revision() == await database.read(revision)


async def test_a_database_of_a_newer_version_is_refused(database: Database) -> None:
    await database.write(_pretend, "9999")
    with pytest.raises(SchemaTooNewError, match="newer version"):
        await database.write(migrate)
