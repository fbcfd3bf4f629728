"""Dead letters: what was given up, with its cause, so that people can see it and have it tried again."""

from typing import Any

from sqlalchemy import select

from app.models.job import HeldTask, Problem
from app.models.settlement import Move, Settlement
from app.store.database import Transaction
from app.store.schema import dead_letters


def bury(transaction: Transaction, task: HeldTask, move: Move) -> None:
    """The task itself, with the page it stopped at."""
    problem = move.error or Problem("unknown", "No cause was recorded.")
    letter = {
        "task_id": task.task_id,
        "stage": task.stage.value,
        "resource": task.resource,
        "cause": problem.type,
        "detail": problem.detail,
        "attempts": move.attempt,
        "cursor": move.cursor,
    }
    _insert(transaction, task, [letter])


def bury_oversized(transaction: Transaction, settlement: Settlement) -> None:
    """Each once a job: a second look, or another page that overlaps, meets them again."""
    task = settlement.task
    found = {f"{task.resource}/reviews/{review.review_id}": review for review in settlement.oversized}
    known = select(dead_letters.c.resource).where(
        dead_letters.c.job_id == task.job_id, dead_letters.c.stage == "review", dead_letters.c.resource.in_(found)
    )
    for resource in transaction.connection.execute(known).scalars().all():
        del found[resource]
    letters = [
        {
            "stage": "review",
            "resource": resource,
            "cause": "review_too_large",
            "detail": f"The review has {len(review.raw)} bytes; MAX_REVIEW_BYTES allows fewer.",
            "attempts": 1,
            "cursor": task.cursor,
        }
        for resource, review in found.items()
    ]
    _insert(transaction, task, letters)


def _insert(transaction: Transaction, task: HeldTask, letters: list[dict[str, Any]]) -> None:
    whose = {"tenant": task.tenant, "job_id": task.job_id, "created_at": transaction.now}
    transaction.insert_ignore(dead_letters, [whose | letter for letter in letters])
