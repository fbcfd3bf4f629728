"""What is left of Google's quota, as a tenant may see it."""

from collections.abc import Awaitable, Callable, Sequence

from app.limits.views import BudgetView
from app.store.budgets import projects_of
from app.store.database import Database

Snapshot = Callable[[], Awaitable[Sequence[BudgetView]]]


class Quotas:
    """`snapshot` gives every budget. A tenant sees those of Google projects that its own tokens belong to: what is left
    there is what it can get, also where another tenant uses the same project."""

    def __init__(self, database: Database, snapshot: Snapshot) -> None:
        self._database = database
        self._snapshot = snapshot

    async def of(self, tenant: str) -> list[BudgetView]:
        mine = await self._database.read(projects_of, tenant)
        return [budget for budget in await self._snapshot() if budget.project in mine]
