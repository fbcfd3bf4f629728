"""Whether the store takes writes: a database that became another's standby answers everything else."""

from app.store.database import StoreUnavailableError, Transaction


def prove_writable(transaction: Transaction) -> None:
    """Raises StoreUnavailableError. On SQLite the transaction of a write is proof enough."""
    if transaction.connection.dialect.name != "postgresql":
        return
    if transaction.run("SELECT current_setting('transaction_read_only')", ()).scalar_one() == "on":
        raise StoreUnavailableError("PostgreSQL: it can only be read")
