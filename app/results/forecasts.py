"""Estimates of running jobs, for whoever shows them: from one look at the store and the quota, kept for a moment."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from app.clock import Clock
from app.limits.rules import Limits
from app.limits.views import BudgetView
from app.models.job import DEFAULT_PROJECT, RUNNING
from app.models.views import Estimate, JobView
from app.results.estimate import Budget, Forecast, Turns, calls_left, forecast
from app.store.database import Database, StoreUnavailableError
from app.store.loads import Load, read_loads

FRESH_SECONDS = 2.0
"""Estimates are rough, and lists of jobs are asked for often."""

API = "reviews"
"""The API that takes nearly all the calls of a job."""


class _Seen(NamedTuple):
    at: float
    loads: dict[str, Load]
    turns: dict[str, Turns]
    budgets: dict[str, Budget]


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
        """The jobs, with estimates where there are any. With the store away, as they were."""
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
                budgets = {view.project: self._budget(view) for view in await self._budgets() if view.api == API}
                self._seen = _Seen(now, {load.job_id: load for load in loads}, _turns(loads), budgets)
            return self._seen

    def _with_estimate(self, job: JobView, seen: _Seen) -> JobView:
        load = seen.loads.get(job.job_id) if job.status in RUNNING else None
        if load is None:
            return job
        project = _project(load)
        found = forecast(load, seen.turns[project], seen.budgets.get(project) or Budget(self._limits))
        if found is None:
            return job
        return job.model_copy(update={"estimate": _estimate(found, datetime.fromtimestamp(self._clock.now(), UTC))})

    def _budget(self, view: BudgetView) -> Budget:
        now = self._clock.now()
        return Budget(
            self._limits,
            {window.name: window.left for window in view.windows},
            day_ends_in=max(0.0, self._limits.end_of_day(now) - now),
            closed_for=max(0.0, (view.closed_until or now) - now),
        )


def _project(load: Load) -> str:
    return load.project or DEFAULT_PROJECT


def _turns(loads: Sequence[Load]) -> dict[str, Turns]:
    """Who spends the quota of each project. A job of which nothing is known yet makes at least one call."""
    calls: dict[str, list[int]] = defaultdict(list)
    for load in loads:
        left = calls_left(load)
        calls[_project(load)].append(1 if left is None else left)
    return {project: Turns(of_project) for project, of_project in calls.items()}


def _estimate(found: Forecast, now: datetime) -> Estimate:
    seconds = round(found.seconds)
    return Estimate(
        finished_at=(now + timedelta(seconds=seconds)).replace(microsecond=0),
        seconds_left=seconds,
        calls_left=found.calls,
        limited_by=found.limited_by,
    )
