"""What `doctor` looks at of the sealing keys."""

from app.cli.findings import Finding, Health
from app.config import PostgresqlServer, Settings, missing_keys
from app.credentials import KeyFileError, load_or_create_key
from app.store.database import Database
from app.store.migrate import fits
from app.store.sealing import keys_in_use
from app.wiring.values import key_file, sealing_key_ids


def sealing_key(settings: Settings) -> Finding:
    """What access tokens are sealed with."""
    if settings.sealing_keys:
        return Finding("sealing key", Health.OK, f"{len(settings.sealing_keys)} configured")
    if not settings.mock_kafka and isinstance(settings.database, PostgresqlServer):
        return Finding("sealing key", Health.BROKEN, "none, and all replicas need the same", "set TOKEN_SEALING_KEYS")
    path = key_file(settings)
    if not path.exists():
        return Finding("sealing key", Health.OK, f"none yet; {path} is made at the first start")
    try:
        return Finding("sealing key", Health.OK, f"{load_or_create_key(path).id} in {path}")
    except KeyFileError as error:
        return Finding("sealing key", Health.BROKEN, str(error), "without it the tokens of unfinished jobs are lost")


async def keys_of_the_store(settings: Settings, database: Database) -> Finding:
    """Whether every key is there that something in the store is sealed with."""
    try:
        have = sealing_key_ids(settings)
    except KeyFileError:
        return Finding("sealed", Health.WARNING, "not looked at: the sealing key cannot be read")
    needed = await database.read(keys_in_use) if await database.read(fits) else []
    missing = [key_id for key_id in needed if key_id not in have]
    if missing:
        return Finding("sealed", Health.BROKEN, "the service refuses to start", missing_keys(missing))
    old = [key_id for key_id in needed if key_id != have[0]]
    if old:
        mend = "when every replica has the newest key in front, run `review-fetcher keys reseal`"
        return Finding("sealed", Health.OK, f"also with {', '.join(old)}", mend)
    return Finding("sealed", Health.OK, "all with the newest key" if needed else "nothing")
