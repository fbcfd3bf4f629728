"""The leader's erasing as a process that can be killed: `python -m tests.support.erasing_process`, settings as JSON on
stdin (`database`: a file or a URL, `crash_at`, `retention_days`). It ends when nothing is left to do at once."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from app.clock import SystemClock
from app.crash import arm
from app.results.erasing import Erasing
from app.store.database import Database
from app.store.postgresql import PostgresDatabase
from app.store.sqlite import SqliteDatabase


def store_of(database: str) -> Database:
    """Beside a process that has it open."""
    if database.startswith("postgresql"):
        return PostgresDatabase(database)
    return SqliteDatabase(Path(database), exclusive=False)


async def main(settings: dict[str, Any]) -> None:
    store = store_of(settings["database"])
    await store.start()
    days = settings["retention_days"]
    erasing = Erasing(store, SystemClock(), days, publishes=True, announce=lambda: None)
    while await erasing.turn():
        pass
    await store.close()


if __name__ == "__main__":
    given = json.loads(sys.stdin.readline())
    arm(given["crash_at"])
    asyncio.run(main(given))
