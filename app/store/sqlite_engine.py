"""Connections to a SQLite file, each set up alike; and how what was deleted leaves the file's log."""

import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

TRUNCATE_TIMEOUT_MS = 100
"""For readers to let go: they are short, and commits wait meanwhile."""

PRAGMAS = (
    "PRAGMA page_size=8192",  # rows of about 1 kB: a sixth less CPU per review than with 4096
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA secure_delete=ON",  # a wiped token leaves no bytes in its page, nor in a page that is given back
)


def sqlite_engine(path: Path, busy_timeout_ms: int, *, checkpoints: bool) -> Engine:
    """AUTOCOMMIT leaves BEGIN to us: a transaction that turns from read to write fails at once with BUSY."""
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        connect_args={"check_same_thread": False, "cached_statements": 512},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA busy_timeout={busy_timeout_ms}")
        for pragma in PRAGMAS:
            connection.execute(pragma)
        connection.execute(f"PRAGMA wal_autocheckpoint={1000 if checkpoints else 0}")

    return engine


def truncate_log(connection: Connection, busy_timeout_ms: int) -> bool:
    """Bring the write-ahead log into the file and make it empty: until then it holds what was deleted since.

    False: somebody reads an older state just now, or the file cannot be written. Only for the one connection that
    checkpoints.
    """
    try:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={TRUNCATE_TIMEOUT_MS}")
        busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
        connection.exec_driver_sql(f"PRAGMA busy_timeout={busy_timeout_ms}")
    except DBAPIError:
        return False
    return not busy
