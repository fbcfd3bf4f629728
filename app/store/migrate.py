"""Bring a database's tables to this version of the code: Alembic, run in one transaction of the store."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import delete, insert, inspect, select, text

from app.models.audit import ALL_TENANTS, Action, AuditEntry, Origin
from app.store.audit import record
from app.store.database import Transaction, takes_long
from app.store.schema import schema_compatibility

_LOCK = 0x52657669
"""Any number will do, as long as every replica takes the same one."""


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
        config = _config()
        config.attributes["connection"] = transaction.connection
        command.upgrade(config, "head")
        _write_oldest(transaction)
    found = revision(transaction)
    if found is None:
        raise LookupError("the migrations left no revision")
    return found


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
