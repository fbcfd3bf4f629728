"""Estimates of running jobs, for whoever shows them: from one look at the store and the quota, kept for a moment."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from app.clock import Clock
from app.limits.rules import Limits
from app.limits.views import BudgetView
from app.models.job import DEFAULT_PROJECT, RUNNING
from app.models.views import Estimate, JobView, TokenView
from app.results.estimate import Budget, Forecast, forecast, others_of
from app.store.database import Database, StoreUnavailableError
from app.store.loads import Load, read_loads

FRESH_SECONDS = 2.0
"""Estimates are rough, and lists of jobs are asked for often."""

API = "reviews"
"""The API that takes nearly all the calls of a job."""


class _Seen(NamedTuple):
    at: float
    loads: dict[str, Load]
    budgets: Sequence[BudgetView]


class Forecasts:
    """`limits` are those of reviews.list, `budgets` gives the quotas as they stand."""

    def __init__(
        self, database: Database, limits: Limits, budgets: Callable[[], Awaitable[Sequence[BudgetView]]], clock: Clock
    ) -> None:
        self._database = database
        self._limits = limits
        self._budgets = budgets
        self._clock = clock
        self._seen: _Seen | None = None
        self._looking = asyncio.Lock()

    async def add_to(self, jobs: Sequence[JobView]) -> list[JobView]:
        """The jobs, with estimates and warnings where there are any. With the store away, as they were."""
        if not any(job.status in RUNNING for job in jobs):
            return list(jobs)
        try:
            seen = await self._look()
        except StoreUnavailableError:
            return list(jobs)
        return [self._with_estimate(job, seen) for job in jobs]

    async def _look(self) -> _Seen:
        async with self._looking:
            now = self._clock.monotonic()
            if self._seen is None or now - self._seen.at >= FRESH_SECONDS:
                loads = await self._database.read(read_loads)
                self._seen = _Seen(now, {load.job_id: load for load in loads}, await self._budgets())
            return self._seen

    def _with_estimate(self, job: JobView, seen: _Seen) -> JobView:
        load = seen.loads.get(job.job_id) if job.status in RUNNING else None
        if load is None:
            return job
        others = others_of(load, list(seen.loads.values()))
        found = forecast(load, others, self._budget(load.project or DEFAULT_PROJECT, seen.budgets))
        if found is None:
            return job
        estimate = _estimate(found, datetime.fromtimestamp(self._clock.now(), UTC))
        return job.model_copy(update={"estimate": estimate, "token": _warned(job.token, estimate)})

    def _budget(self, project: str, budgets: Sequence[BudgetView]) -> Budget:
        budget = next((one for one in budgets if (one.project, one.api) == (project, API)), None)
        if budget is None:
            return Budget(self._limits)
        now = self._clock.now()
        day = next((window for window in budget.windows if window.name == "day"), None)
        return Budget(
            self._limits,
            day_left=day.left if day else None,
            day_ends_in=max(0.0, self._limits.end_of_day(now) - now),
            closed_for=max(0.0, (budget.closed_until or now) - now),
        )


def _estimate(found: Forecast, now: datetime) -> Estimate:
    seconds = round(found.seconds)
    return Estimate(
        finished_at=(now + timedelta(seconds=seconds)).replace(microsecond=0),
        seconds_left=seconds,
        calls_left=found.calls,
        limited_by=found.limited_by,
    )


def _warned(token: TokenView | None, estimate: Estimate) -> TokenView | None:
    if token is None or token.refreshable or token.expires_at is None or estimate.finished_at <= token.expires_at:
        return token
    warning = (
        f"The access token ends at {token.expires_at:%H:%M} UTC, and the job is estimated to take until "
        f"{estimate.finished_at:%H:%M} UTC: give it a new one by then, or one with a refresh token."
    )
    return token.model_copy(update={"warning": warning})
