"""`review-fetcher migrate` and `version`."""

import asyncio
import platform
import sqlite3
from importlib.metadata import version as installed_version

import typer

from app.cli.screen import say


def migrate() -> None:
    """Bring the store's tables to this version.

    The service does the same when it starts. With SQLite the service must be stopped; with PostgreSQL replicas take
    turns.
    """
    revision = asyncio.run(_migrate())
    typer.echo(revision)
    say("The store is up to date.")


async def _migrate() -> str | None:
    from app.cli.local import migrated_store  # noqa: PLC0415 - SQLAlchemy and Alembic are slow to import
    from app.store.migrate import revision  # noqa: PLC0415

    async with migrated_store(exclusive=True) as database:
        return await database.read(revision)


def version() -> None:
    """Print the versions of the program, Python and SQLite."""
    typer.echo(f"review-fetcher {installed_version('review-fetcher')}")
    typer.echo(f"Python {platform.python_version()}")
    typer.echo(f"SQLite {sqlite3.sqlite_version}")
