"""What an error of PostgreSQL means for who asked: try again at once, try later, or never."""

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFreeError

from app.store.database import StoreUnavailableError

_REFUSED = ("0A", "21", "22", "23", "42", "54")
"""Classes of SQLSTATE that speak of the content: not supported, cardinality, data, integrity, syntax, limits.

https://www.postgresql.org/docs/15/errcodes-appendix.html
"""

_STARTED_OVER = ("40001", "40P01")
"""The server undid the transaction for another's sake, serialization failure or deadlock, and says: again."""


class LostConnectionError(Exception):
    """The connection broke before COMMIT was sent: nothing was written, and another connection may do better."""


def may_start_over(error: Exception) -> bool:
    """Whether the same work is likely to succeed at once. Nothing of it is written."""
    cause = cause_of(error)
    if isinstance(cause, LostConnectionError | asyncpg.InvalidCachedStatementError):
        return True
    return sqlstate_of(error) in _STARTED_OVER


def told(error: Exception) -> Exception:
    """The error as the caller gets it: `StoreUnavailableError` if the same work may succeed later, else as it is."""
    cause = cause_of(error)
    if isinstance(error, NoConnectionFreeError):
        return StoreUnavailableError("PostgreSQL: no connection was free in time")
    if isinstance(cause, asyncpg.DataError) or sqlstate_of(error).startswith(_REFUSED):
        return error
    away = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, DBAPIError, OSError)
    if isinstance(cause, (*away, LostConnectionError)):
        return StoreUnavailableError(f"PostgreSQL: {str(cause) or type(cause).__name__}")
    return error


def cause_of(error: Exception) -> BaseException:
    """The driver's own error, out of SQLAlchemy's wrapping."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        return error.orig.__cause__ or error.orig
    return error


def sqlstate_of(error: Exception) -> str:
    """What the server calls it, five characters; empty when it was not the server."""
    return str(getattr(cause_of(error), "sqlstate", None) or "")
