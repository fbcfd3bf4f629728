"""Numbered rows deleted so that no number is ever given twice.

A cursor of the feed, a message id and a message on its way name rows by number. PostgreSQL's sequences never go back;
SQLite gives a new row the greatest number + 1, and would give the last ones again once they are deleted. There, the
row with the greatest number stays, emptied, until a later one is there.
"""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Column, ColumnElement, Table, delete, func, select, update

from app.models.job import LocationState, TaskStatus
from app.store.database import Transaction
from app.store.schema import dead_letters, locations, reviews, tasks, tombstones, webhooks

_EMPTY: Mapping[Table, Mapping[str, Any]] = {
    reviews: {"location_no": 0, "review_id": "", "name": "", "raw": b""},
    locations: {"job_id": "", "location": "", "account": "", "title": "", "state": LocationState.DONE.value},
    tasks: {"job_id": "", "stage": "", "resource": "", "status": TaskStatus.DONE.value, "due_at": 0.0},
    dead_letters: {"job_id": "", "stage": "", "resource": "", "cause": "", "detail": "", "attempts": 0}
    | {"created_at": 0.0, "redriven_at": 0.0},
    webhooks: {"job_id": "", "message_id": "", "event": "", "body": b"", "status": "", "due_at": 0.0}
    | {"created_at": 0.0},
    tombstones: {"location": "", "review_id": "", "created_at": 0.0},
}
"""What is left of the row with the greatest number. Nobody's: its tenant is empty, and no job has it."""


def delete_numbers(transaction: Transaction, table: Table, numbers: Collection[int]) -> None:
    """Delete the rows with these numbers, the table's primary key."""
    if not numbers:
        return
    key: Column[int] = table.primary_key.columns[0]
    connection = transaction.connection
    if connection.dialect.name == "sqlite":
        greatest = connection.execute(select(func.max(key))).scalar()
        if greatest in numbers:
            _empty(transaction, table, key == greatest)
            numbers = [number for number in numbers if number != greatest]
    connection.execute(delete(table).where(key.in_(numbers)))


def _empty(transaction: Transaction, table: Table, greatest: ColumnElement[bool]) -> None:
    """The row that was kept before has done its duty."""
    empty = {column.name: None for column in table.columns if column.nullable} | {"tenant": ""} | dict(_EMPTY[table])
    kept = (table.c.tenant == "", ~greatest, *(table.c[name] == _EMPTY[table][name] for name in _FOUND_BY[table]))
    transaction.connection.execute(delete(table).where(*kept))
    transaction.connection.execute(update(table).where(greatest).values(empty))


_FOUND_BY: Mapping[Table, tuple[str, ...]] = {
    reviews: ("location_no", "review_id"),
    locations: ("job_id", "location"),
    tasks: ("job_id", "stage", "resource"),
    dead_letters: ("job_id",),
    webhooks: ("message_id",),
    tombstones: (),
}
"""The columns of an index by which the row that was kept before is found. Of tombstones there are few."""
