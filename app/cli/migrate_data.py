"""`review-fetcher migrate-data`."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.exits import CommandError, UsageError
from app.cli.files import is_there
from app.cli.options import Json
from app.cli.screen import say, show_json, show_table

if TYPE_CHECKING:
    from app.config import PostgresqlServer, Settings, SqliteFile
    from app.store.copying import Copied
    from app.store.database import Database

LINE_SECONDS = 2.0


def migrate_data(
    *,
    source: Annotated[
        str, typer.Option("--from", help="The store to copy: a SQLite file.")
    ] = "sqlite:///data/review-fetcher.db",
    target: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="The empty PostgreSQL database to copy into; else DATABASE_URL. Others on this machine can read a "
            "command's options: prefer the variable for a URL with a password.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Copy a store from a SQLite file into a PostgreSQL database, to go on there with many replicas.

    Jobs, unfinished ones included, reviews, dead letters, API keys and quota; what was being worked on is done again
    from its last page. No service may run on either. All or nothing: after an error the database is as empty as it
    was, and the same command begins anew. The file stays as it is.
    """
    from app.config import get_settings  # noqa: PLC0415 - slow to import

    settings = get_settings()
    where, whereto = _places(source, target, settings)
    began = time.monotonic()
    copied = asyncio.run(_copy(where, whereto))
    if as_json:
        show_json({"from": str(where), "to": str(whereto), **copied._asdict(), "seconds": time.monotonic() - began})
    else:
        show_table(("table", "rows"), list(copied.tables.items()))
    _say_what_follows(copied, where, settings)


def _places(source: str, target: str | None, settings: "Settings") -> "tuple[SqliteFile, PostgresqlServer]":
    from app.config import PostgresqlServer, SqliteFile  # noqa: PLC0415

    where = _parsed("--from", source)
    whereto = settings.database if target is None else _parsed("--to", target)
    if not isinstance(where, SqliteFile):
        raise UsageError("--from: must be a SQLite file: sqlite:///data/review-fetcher.db")
    if not isinstance(whereto, PostgresqlServer):
        raise UsageError("no PostgreSQL to copy into: set DATABASE_URL or give --to, postgresql://user@host:5432/name")
    if not is_there(where.path):
        raise CommandError(f"there is no store at {where.path}")
    return where, whereto


def _parsed(option: str, url: str) -> "SqliteFile | PostgresqlServer":
    from app.config.values import parse_database_url  # noqa: PLC0415

    try:
        return parse_database_url(url)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


async def _copy(where: "SqliteFile", whereto: "PostgresqlServer") -> "Copied":
    from app.cli.local import user_of_this_machine  # noqa: PLC0415 - SQLAlchemy is slow to import
    from app.store.copying import copy_store, snapshot  # noqa: PLC0415
    from app.store.postgresql import PostgresDatabase  # noqa: PLC0415
    from app.store.sqlite import SqliteDatabase  # noqa: PLC0415

    old, new = SqliteDatabase(where.path, exclusive=True), PostgresDatabase(whereto.url.get_secret_value())
    async with AsyncExitStack() as opened:
        for database in (old, new):
            opened.push_async_callback(database.close)
            await database.start()
            await _bring_to_this_version(database)
        with snapshot(old) as connection:
            return await new.write(copy_store, connection, Progress(), user_of_this_machine())


async def _bring_to_this_version(database: "Database") -> None:
    """A newer version's tables may have columns that this one would leave behind."""
    from app.store.migrate import head_revision, migrate  # noqa: PLC0415 - Alembic is slow to import

    if await database.write(migrate) != head_revision():
        raise CommandError("one of the stores belongs to a newer version of this program: copy with that version")


class Progress:
    """A line every `LINE_SECONDS`."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._told_at = monotonic()

    def __call__(self, table: str, copied: int, total: int) -> None:
        """So many of the table's rows have been copied."""
        now = self._monotonic()
        if now - self._told_at >= LINE_SECONDS:
            say(f"{table}: {copied:,} of {total:,}")
            self._told_at = now


def _say_what_follows(copied: "Copied", where: "SqliteFile", settings: "Settings") -> None:
    say(f"{sum(copied.tables.values()):,} rows copied, and counted there. Start no service on {where.path} again.")
    if copied.waiting_again:
        say(f"{copied.waiting_again} tasks were being worked on: they wait to be done again.")
    missing = set(copied.key_ids) - {name for name, _ in settings.sealing_keys}
    if missing:
        _say_keys(missing, where)


def _say_keys(missing: set[str], where: "SqliteFile") -> None:
    """Which keys the new place needs, and where they are; not the keys themselves."""
    from app.credentials import load_or_create_key  # noqa: PLC0415

    path = where.path.with_name("sealing.key")
    say(f"TOKEN_SEALING_KEYS lacks keys that tokens of unfinished jobs, or callbacks, need: {', '.join(missing)}.")
    if path.exists() and (key := load_or_create_key(path)).id in missing:
        say(f"One is in {path}. Give it to the new service as the last of its keys, for example:")
        say(f'  TOKEN_SEALING_KEYS="1:$(openssl rand -base64 32),{key.id}:$(base64 -w0 {path})"')
    else:
        say("Without them those jobs wait for a new token, and those callbacks are told nothing.")
