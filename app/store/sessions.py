"""Sessions of the console that were ended before their time. A sealed cookie would open pages until it expires."""

from sqlalchemy import delete, select

from app.store.database import Transaction
from app.store.schema import ended_sessions


def end_session(transaction: Transaction, session_id: str, expires_at: float) -> None:
    """Remember it until it would have expired by itself, and forget those that have. Idempotent."""
    transaction.connection.execute(delete(ended_sessions).where(ended_sessions.c.expires_at < transaction.now))
    transaction.insert_ignore(ended_sessions, [{"id": session_id, "expires_at": expires_at}])


def is_session_ended(transaction: Transaction, session_id: str) -> bool:
    """Whether somebody has signed out of it, on whichever replica."""
    statement = select(ended_sessions.c.id).where(ended_sessions.c.id == session_id)
    return transaction.connection.execute(statement).first() is not None
