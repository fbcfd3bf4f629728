"""Up to which number a table's rows are final, for readers that go through it in the order of its numbers.

A row may be handed out only when no row with a smaller number can still appear. SQLite has one writer: what is
committed is complete. PostgreSQL draws a number before the commit, and a transaction that drew a smaller one may commit
later. So a look first notes how far numbers were drawn and then which transactions were begun by then (`horizon`):
whoever draws a number has written something before, and so had begun. Once all of these have ended, everything up to
the noted number is final. The reader's cursor carries both, so each look makes final what the last one noted; a
transaction that stays open delays readers, and never costs them a row.
"""

from typing import Any, NamedTuple

from sqlalchemy import Column, func, select, text

from app.store.database import Transaction


class Final(NamedTuple):
    """Rows up to `settled` are final; those up to `drawn` are once every transaction before `horizon` has ended."""

    settled: int = 0
    drawn: int = 0
    horizon: int = 0


def look(transaction: Transaction, number: Column[Any], before: Final) -> Final:
    """What is final by now, and what will be, of the table whose rows are numbered by `number`."""
    if transaction.connection.dialect.name != "postgresql":
        newest = transaction.connection.execute(select(func.max(number))).scalar()
        return Final(newest or 0)
    sequence = {"table": number.table.name, "column": number.name}
    drawn = transaction.connection.execute(_drawn, sequence).scalar_one()
    oldest, next_begun = transaction.connection.execute(_transactions).one()
    if oldest == next_begun:
        return Final(max(drawn, before.settled), drawn, next_begun)
    if oldest >= before.horizon:
        return Final(max(before.drawn, before.settled), drawn, next_begun)
    return before


_drawn = text("SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence(:table, :column)::regclass), 0)")

_transactions = text(
    "SELECT pg_snapshot_xmin(now_open)::text::bigint, pg_snapshot_xmax(now_open)::text::bigint"
    " FROM pg_current_snapshot() AS now_open"
)
"""The oldest transaction that is still open, and the next to begin; the same when none is open."""
