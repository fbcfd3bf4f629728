"""Dead letters: what was given up, with its cause, so that people can see it and have it tried again."""

from typing import Any

from sqlalchemy import func, select

from app.models.job import HeldTask, Problem
from app.models.settlement import Move, Settlement
from app.store.database import Transaction
from app.store.schema import DEAD_LETTER, dead_letters, outbox


def bury(transaction: Transaction, task: HeldTask, move: Move, *, announce: bool) -> None:
    """The task itself, with the page it stopped at. `announce`: tell the publisher."""
    problem = move.error or Problem("unknown", "No cause was recorded.")
    letter = {
        "task_id": task.task_id,
        "stage": task.stage.value,
        "resource": task.resource,
        "cause": problem.type,
        "detail": problem.detail,
        "attempts": move.attempt,
        "cursor": move.cursor,
        "earlier_redrives": _redrives(transaction, task),
    }
    _insert(transaction, task, [letter], announce=announce)


def _redrives(transaction: Transaction, task: HeldTask) -> int:
    """How often this task was redriven: each of its earlier letters was, once."""
    redriven = select(func.count()).where(
        dead_letters.c.task_id == task.task_id, dead_letters.c.redriven_at.is_not(None)
    )
    return int(transaction.connection.execute(redriven).scalar_one())


def bury_items(transaction: Transaction, settlement: Settlement, *, announce: bool) -> None:
    """What the page held and could not be kept; once a job, for a second look meets it again."""
    task = settlement.task
    given_up = {item.resource: item for item in settlement.given_up}
    known = select(dead_letters.c.resource).where(
        dead_letters.c.job_id == task.job_id, dead_letters.c.task_id.is_(None), dead_letters.c.resource.in_(given_up)
    )
    for resource in transaction.connection.execute(known).scalars().all():
        del given_up[resource]
    letters = [
        {
            "stage": item.kind,
            "resource": item.resource,
            "cause": item.cause,
            "detail": item.detail,
            "attempts": 1,
            "cursor": task.cursor,
            "earlier_redrives": 0,
        }
        for item in given_up.values()
    ]
    _insert(transaction, task, letters, announce=announce)


def _insert(transaction: Transaction, task: HeldTask, letters: list[dict[str, Any]], *, announce: bool) -> None:
    whose = {"tenant": task.tenant, "job_id": task.job_id, "created_at": transaction.now}
    rows = [whose | letter for letter in letters]
    if not (announce and rows):
        transaction.insert_ignore(dead_letters, rows)
        return
    numbers = transaction.insert_numbered(dead_letters, tuple(rows[0]), [tuple(row.values()) for row in rows], "id")
    sent = whose | {"location_no": 0, "kind": DEAD_LETTER}
    transaction.insert_ignore(outbox, [sent | {"first_seq": number, "last_seq": number} for number in numbers])
