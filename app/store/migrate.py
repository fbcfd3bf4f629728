"""Bring a database's tables to this version of the code: Alembic, run in one transaction of the store.

Every start asks whether there is something to do, and hardly ever is there: that is answered without Alembic, whose
import is a tenth of a start.
"""

from pathlib import Path

from sqlalchemy import column, delete, insert, inspect, select, table, text
from sqlalchemy.exc import DBAPIError

from app.models.audit import ALL_TENANTS, Action, AuditEntry, Origin
from app.store.audit import record
from app.store.database import StoreUnavailableError, Transaction, takes_long
from app.store.postgresql_errors import sqlstate_of
from app.store.schema import metadata, schema_compatibility

_LOCK = 0x52657669
"""Any number will do, as long as every replica takes the same one."""


_PATIENCE_MS = 300
"""For a lock that others have: below PostgreSQL's `deadlock_timeout` of 1 s; whoever comes behind us waits as long."""

_PAUSE_SECONDS = 0.2
_TRIES = 120
"""A minute in all."""

_NOT_AVAILABLE = "55P03"

_SCRIPTS = Path(__file__).parent / "migrations"

_ALEMBIC = table("alembic_version", column("version_num"))


class TablesInUseError(StoreUnavailableError):
    """The tables cannot be changed: somebody has had them for a minute, a backup or a long query perhaps. Nothing was
    changed. Start again when that is over."""


class SchemaTooNewError(Exception):
    """The database was migrated by a newer version of the service, and this one does not work on its tables. Run that
    version, or restore a backup."""


@takes_long
def migrate(transaction: Transaction) -> str:
    """Upgrade to this code's newest revision, and return the database's. Raises SchemaTooNewError.

    Replicas that start together take turns, and the later find no work. Tables of a newer version stay as they are, if
    this code works on them: so a replica of the version before can start while others are upgraded.
    """
    if transaction.connection.dialect.name == "postgresql":
        # The scripts are loaded between the statements, which may take a while.
        transaction.connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        transaction.connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    if not fits(transaction):
        _lock_tables(transaction)
        _write_oldest(transaction, _upgrade(transaction))
    found = revision(transaction)
    if found is None:
        raise LookupError("the migrations left no revision")
    return found


def _upgrade(transaction: Transaction) -> str:
    """Run the scripts, and return the oldest revision whose code works on what they left: each declares it, and all of
    them have to."""
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = transaction.connection
    command.upgrade(config, "head")
    oldest: str = max(script.module.works_with for script in ScriptDirectory.from_config(config).walk_revisions())
    return oldest


def _lock_tables(transaction: Transaction) -> None:
    """All of them, before the first is changed: replicas that work meanwhile lock them in other orders, and each change
    would find another deadlock. What is not to be had soon is let go again, with all others: so nobody waits for long.
    """
    connection = transaction.connection
    tables = sorted(metadata.tables.keys() & set(inspect(connection).get_table_names()))
    if connection.dialect.name != "postgresql" or not tables:
        return
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_PATIENCE_MS}")
    for _ in range(_TRIES):
        connection.exec_driver_sql("SAVEPOINT before_locks")
        try:
            connection.exec_driver_sql(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
        except DBAPIError as error:
            if sqlstate_of(error) != _NOT_AVAILABLE:
                raise
            connection.exec_driver_sql("ROLLBACK TO SAVEPOINT before_locks")
            connection.exec_driver_sql(f"SELECT pg_sleep({_PAUSE_SECONDS})")
        else:
            return
    raise TablesInUseError(" ".join(str(TablesInUseError.__doc__).split()))


@takes_long
def migrate_and_record(transaction: Transaction, by: Origin) -> str:
    """The same, and written down by whom when tables that were there before have been changed."""
    before = revision(transaction)
    after = migrate(transaction)
    if before not in (None, after):
        record(transaction, AuditEntry(ALL_TENANTS, Action.STORE_MIGRATE, after, by, {"from": before}))
    return after


def fits(transaction: Transaction) -> bool:
    """Whether this code works on the tables as they are. False: they have to be migrated first.

    Raises SchemaTooNewError when a newer version has migrated them so far that this one can do nothing with them.
    """
    found = revision(transaction)
    if found is None or found in _revisions():
        return found == head_revision()
    oldest = _oldest(transaction)
    if oldest is None or head_revision() < oldest:
        raise SchemaTooNewError(" ".join(str(SchemaTooNewError.__doc__).split()))
    return True


def _oldest(transaction: Transaction) -> str | None:
    """The oldest revision whose code works on the tables; None where nothing of ours says so."""
    if not inspect(transaction.connection).has_table(schema_compatibility.name):
        return None
    oldest: str | None = transaction.connection.execute(select(schema_compatibility.c.oldest)).scalar()
    return oldest


def _write_oldest(transaction: Transaction, oldest: str) -> None:
    transaction.connection.execute(delete(schema_compatibility))
    transaction.connection.execute(insert(schema_compatibility).values(oldest=oldest))


def revision(transaction: Transaction) -> str | None:
    """The database's revision; None for an empty one."""
    if not inspect(transaction.connection).has_table(_ALEMBIC.name):
        return None
    found: str | None = transaction.connection.execute(select(_ALEMBIC.c.version_num)).scalar()
    return found


def head_revision() -> str:
    """The newest revision that this code knows. Revisions are numbers of four digits, so that they sort as text."""
    return max(_revisions())


def _revisions() -> set[str]:
    """As the scripts' names begin; a test compares them with what Alembic reads in the scripts."""
    found = {path.name[:4] for path in (_SCRIPTS / "versions").glob("[0-9][0-9][0-9][0-9]_*.py")}
    if not found:
        raise LookupError("no migrations found beside app/store/migrate.py")
    return found
