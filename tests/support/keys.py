"""API keys whose time is over."""

from sqlalchemy import update

from app.store.database import Transaction
from app.store.schema import api_keys


def expire_now(transaction: Transaction, key_id: str | None) -> None:
    """The key with this id has just expired, by the database's clock."""
    expired = update(api_keys).where(api_keys.c.id == key_id).values(expires_at=transaction.now)
    assert transaction.connection.execute(expired).rowcount == 1
