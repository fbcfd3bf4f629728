"""The store, opened by a command beside a service that may be running on it."""

import os
import pwd
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.cli.exits import CommandError
from app.cli.files import is_there
from app.config import PostgresqlServer, Settings, SqliteFile, get_settings
from app.models.audit import Origin
from app.store.database import Database
from app.store.migrate import fits, migrate_and_record, revision
from app.store.postgresql import PostgresDatabase
from app.store.sqlite import SqliteDatabase


def database_of(settings: Settings, *, exclusive: bool) -> Database:
    """The store of DATABASE_URL, not opened. `exclusive`: no service may be running on a SQLite file."""
    where = settings.database
    if isinstance(where, PostgresqlServer):
        return PostgresDatabase(where.url.get_secret_value(), connections=2)
    return SqliteDatabase(where.path, exclusive=exclusive)


def user_of_this_machine() -> Origin:
    """Who runs a command, for the audit log: not what the environment says, but whom the process belongs to."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return Origin(f"cli:{name}", socket.gethostname())


@asynccontextmanager
async def existing_store() -> AsyncIterator[Database]:
    """The store as it is. CommandError when there is none, or its tables are an older version's.

    SchemaTooNewError when they are a newer one's that this one does not work on.
    """
    settings = get_settings()
    where = settings.database
    if isinstance(where, SqliteFile) and not is_there(where.path):
        raise CommandError(
            f"there is no store at {where.path}: start the service once, or set DATABASE_URL, or ask a running service "
            "by --server"
        )
    async with _opened(database_of(settings, exclusive=False)) as database:
        if not await database.read(fits):
            found = await database.read(revision)
            raise CommandError(f"the store is at revision {found}: run `review-fetcher migrate`")
        yield database


@asynccontextmanager
async def migrated_store(*, exclusive: bool) -> AsyncIterator[Database]:
    """The store, made or brought up to date first."""
    async with _opened(database_of(get_settings(), exclusive=exclusive)) as database:
        await database.write(migrate_and_record, user_of_this_machine())
        yield database


@asynccontextmanager
async def _opened(database: Database) -> AsyncIterator[Database]:
    await database.start()
    try:
        yield database
    finally:
        await database.close()
