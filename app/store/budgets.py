"""The quota budgets' rows: one change at a time, each under the row's lock (`app.limits.permits.BudgetStore`)."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy import exists, select, update

from app.store.database import Database, Transaction
from app.store.schema import jobs, quota_budgets

T = TypeVar("T")


class StoredBudgets:
    """Budgets in the store, so that a restart does not refill them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def change_budget(
        self, project: str, api: str, change: Callable[[bytes | None, float], tuple[bytes, T]]
    ) -> T:
        return await self._database.write(_change, project, api, change)

    async def read_budgets(self) -> tuple[float, Sequence[tuple[str, str, bytes]]]:
        return await self._database.read(read_budgets)


def _change(
    transaction: Transaction, project: str, api: str, change: Callable[[bytes | None, float], tuple[bytes, T]]
) -> T:
    mine = (quota_budgets.c.project == project) & (quota_budgets.c.api == api)
    new = transaction.insert_ignore(quota_budgets, [{"project": project, "api": api, "state": b""}])
    state = transaction.connection.execute(select(quota_budgets.c.state).where(mine).with_for_update()).scalar_one()
    before = None if new or not state else bytes(state)
    after, answer = change(before, transaction.clock())
    if after != before:
        transaction.connection.execute(update(quota_budgets).where(mine).values(state=after))
    return answer


def projects_of(transaction: Transaction, tenant: str) -> set[str]:
    """The Google projects with a budget whose quota the tenant's jobs have used."""
    used = exists().where(jobs.c.tenant == tenant, jobs.c.google_project == quota_budgets.c.project)
    return set(transaction.connection.execute(select(quota_budgets.c.project).where(used)).scalars())


def read_budgets(transaction: Transaction) -> tuple[float, Sequence[tuple[str, str, bytes]]]:
    """The database's time, and every budget as (project, api, state)."""
    rows = transaction.connection.execute(
        select(quota_budgets.c.project, quota_budgets.c.api, quota_budgets.c.state).order_by(
            quota_budgets.c.project, quota_budgets.c.api
        )
    )
    return transaction.now, [(row.project, row.api, bytes(row.state)) for row in rows if row.state]
