"""The sealing key of an unfinished `fetch`: without it the job needs another token, and is given it."""

from pathlib import Path

from app.cli.exits import CommandError, ExitCode
from app.cli.sealing import give_up
from app.config import Settings
from app.store.sealing import keys_in_use
from app.store.sqlite import SqliteDatabase
from app.wiring.values import key_file, sealing_key_ids


async def mind_keys(store: Path, settings: Settings, *, new_token: bool) -> None:
    """Before the service makes a new key: then nobody could tell any more why the token does not open.

    Raises CommandError unless there is a new token: then what the lost key sealed is given up.
    """
    database = SqliteDatabase(store, exclusive=False)
    await database.start()
    try:
        have = sealing_key_ids(settings)
        lost = [key_id for key_id in await database.read(keys_in_use) if key_id not in have]
        if lost and not new_token:
            raise CommandError(_told(key_file(settings)), ExitCode.NEEDS_TOKEN)
        for key_id in lost:
            await give_up(database, key_id)
    finally:
        await database.close()


def _told(path: Path) -> str:
    what = "holds another key" if path.exists() else "is gone"
    return (
        f"{path} {what}, and without the job's own the token of the unfinished job cannot be read: put the file back, "
        "or run the same command again with a token"
    )
