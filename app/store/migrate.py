"""Bring a database's tables to this version of the code: Alembic, run in one transaction of the store."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import delete, insert, inspect, select, text
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
        config = _config()
        config.attributes["connection"] = transaction.connection
        command.upgrade(config, "head")
        _write_oldest(transaction)
    found = revision(transaction)
    if found is None:
        raise LookupError("the migrations left no revision")
    return found


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
    if found is None or found in {script.revision for script in _scripts().walk_revisions()}:
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


def _write_oldest(transaction: Transaction) -> None:
    """Each migration declares with which code its tables work; all of them have to."""
    oldest = max(script.module.works_with for script in _scripts().walk_revisions())
    transaction.connection.execute(delete(schema_compatibility))
    transaction.connection.execute(insert(schema_compatibility).values(oldest=oldest))


def revision(transaction: Transaction) -> str | None:
    """The database's revision; None for an empty one."""
    return MigrationContext.configure(transaction.connection).get_current_revision()


def head_revision() -> str:
    """The newest revision that this code knows. Revisions are numbers of four digits, so that they sort as text."""
    head = _scripts().get_current_head()
    if head is None:
        raise LookupError("no migrations found beside app/store/migrate.py")
    return head


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
