"""Whether the store takes writes: a database that became another's standby answers everything else, and so does a file
on a full disk."""

from app.store.database import StoreUnavailableError, Transaction


def prove_writable(transaction: Transaction) -> None:
    """Raises StoreUnavailableError, or has the commit raise it.

    SQLite: a number that means nothing is changed in the file, for a transaction that changes nothing needs no room.
    PostgreSQL: one that has no room ends by itself, and says so to whoever writes.
    """
    if transaction.connection.dialect.name == "sqlite":
        transaction.connection.exec_driver_sql(f"PRAGMA user_version = {int(transaction.now)}")
    elif transaction.run("SELECT current_setting('transaction_read_only')", ()).scalar_one() == "on":
        raise StoreUnavailableError("PostgreSQL: it can only be read")
