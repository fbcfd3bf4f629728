"""Bring a database's tables to this version of the code: Alembic, run in one transaction of the store."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from app.store.database import Transaction

_LOCK = 0x52657669
"""Any number will do, as long as every replica takes the same one."""


class SchemaTooNewError(Exception):
    """The database was migrated by a newer version of the service. Run that version, or restore a backup."""


def migrate(transaction: Transaction) -> str:
    """Upgrade to the newest revision and return it. Replicas that start together take turns; the later find no work."""
    if transaction.connection.dialect.name == "postgresql":
        transaction.connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = _config()
    config.attributes["connection"] = transaction.connection
    current, newest = revision(transaction), head_revision()
    if current is not None and current not in {script.revision for script in _scripts().walk_revisions()}:
        raise SchemaTooNewError(SchemaTooNewError.__doc__)
    if current != newest:
        command.upgrade(config, "head")
    return newest


def revision(transaction: Transaction) -> str | None:
    """The database's revision; None for an empty one."""
    return MigrationContext.configure(transaction.connection).get_current_revision()


def head_revision() -> str:
    """The newest revision that this code knows."""
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
