"""What is shown of Google's quota: the shape that API and CLI share. Times are RFC 3339 in UTC."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class _FromAttributes(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class QuotaWindow(_FromAttributes):
    """One limit of a budget, in calls: `bucket`, `minute` or `day`. Calls on loan to a replica count as spent.

    `resets_at` is when nothing of it is spent any more if nobody calls, null when nothing is spent.
    """

    name: str
    limit: float
    spent: float
    left: float
    resets_at: datetime | None


class QuotaShare(_FromAttributes):
    """Calls on loan to a replica, which may make them until `expires_at`."""

    holder: str
    calls: int
    expires_at: datetime


class QuotaBudget(_FromAttributes):
    """What is left of one Google API for one Google project.

    `closed_until` is set while Google's 429 keeps it closed; `next_call_at` and `reason` while no call can be granted,
    for that or because a limit is spent.
    """

    project: str
    api: str
    windows: list[QuotaWindow]
    shares: list[QuotaShare]
    closed_until: datetime | None
    next_call_at: datetime | None
    reason: str | None


class QuotaReport(_FromAttributes):
    """Every budget."""

    budgets: list[QuotaBudget]
