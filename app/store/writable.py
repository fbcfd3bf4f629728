"""Whether the store takes writes: a database that became another's standby answers everything else, and so does one
whose commits wait for a standby that is away, and a file on a full disk."""

from app.store.database import StoreUnavailableError, Transaction


def prove_writable(transaction: Transaction) -> None:
    """Raises StoreUnavailableError, or has the commit raise it.

    SQLite: a number that means nothing is changed in the file, for a transaction that changes nothing needs no room.
    PostgreSQL: a message in its log, which no table keeps: it is committed as a row is, and waits for a synchronous
    standby as that would. A server without room for its log ends by itself; one without room for a table says so to
    whoever needs some.
    """
    if transaction.connection.dialect.name == "sqlite":
        transaction.connection.exec_driver_sql(f"PRAGMA user_version = {int(transaction.now)}")
    elif transaction.run("SELECT current_setting('transaction_read_only')", ()).scalar_one() == "on":
        raise StoreUnavailableError("PostgreSQL: it can only be read")
    else:
        transaction.run("SELECT pg_logical_emit_message(true, 'review-fetcher', 'is it writable?')", ())
