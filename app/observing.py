"""What happens in the walk, as metrics and log lines; and what the store knows, for a scrape."""

from collections.abc import Callable, Iterable

import structlog

from app.clock import Clock
from app.google.errors import ErrorKind, GoogleAPIError
from app.ingest.buffer import BoundedDequeBuffer
from app.ingest.committer import Arrival
from app.limits.permits import LONGEST_WAIT_SECONDS, Api
from app.limits.quota import SharedQuota
from app.limits.views import BudgetView, WindowView
from app.models.job import HeldTask, Stage, TaskStatus
from app.models.settlement import Move, Settled, Settlement
from app.results.activity import ActivityLog
from app.store.database import Database
from app.store.measures import jobs_by_state, runnable_by_stage, tasks_by_stage_and_state, tokens_expiring
from app.store.outbox import lag
from app.telemetry.events import Event
from app.telemetry.metrics import Metrics
from app.telemetry.scraped import DequeNumbers, StoreNumbers

log = structlog.get_logger(__name__)

NO_TASKS = {(str(stage), str(status)): 0 for stage in Stage for status in TaskStatus if status is not TaskStatus.DONE}
"""(stage, state) → none: a number that is not there cannot be added to another."""


class WalkObserver:
    """Counts calls and settlements, and says what matters of them: one line an event."""

    def __init__(self, metrics: Metrics, activity: ActivityLog) -> None:
        self._metrics = metrics
        self._activity = activity

    def called(self, task: HeldTask, api: Api, error: GoogleAPIError | None, seconds: float) -> None:
        throttled = error is not None and error.kind is ErrorKind.THROTTLED
        self._metrics.called(api, "ok" if error is None else error.reason, seconds, throttled=throttled)
        self._activity.add(task.tenant, calls=1, throttled=int(throttled))

    def settled(self, settlement: Settlement, settled: Settled, seconds: float) -> None:
        if settled.move is None:
            log.info(Event.SETTLE_DROPPED, task_id=settlement.task.task_id)
            return
        if settlement.page:
            self._metrics.settled(seconds, stored=settled.new_reviews, duplicates=settled.duplicates)
        if settled.new_reviews:
            self._activity.add(settlement.task.tenant, reviews=settled.new_reviews)
        if settled.first_review_after is not None:
            self._metrics.first_review(settled.first_review_after)
        self._tell_trouble(settlement, settled.move)
        if settlement.token_problem is not None:
            self._metrics.lacked_token(settlement.token_problem.type)
            log.warning(Event.JOB_NEEDS_TOKEN, cause=settlement.token_problem.type)
        if settled.ended_after is not None:
            self._metrics.job_ended(str(settled.job_ended), settled.ended_after)
        if settled.job_ended is not None:
            log.info(Event.JOB_ENDED, status=settled.job_ended)

    def _tell_trouble(self, settlement: Settlement, move: Move) -> None:
        task = settlement.task
        for item in settlement.given_up:
            self._metrics.dead_lettered(item.cause)
            log.warning(Event.ITEM_GIVEN_UP, resource=item.resource, cause=item.cause)
        if move.error is None:
            return
        where = {"stage": task.stage, "resource": task.resource, "cause": move.error.type}
        if move.status is TaskStatus.DEAD:
            self._metrics.dead_lettered(move.error.type)
            log.warning(Event.TASK_DEAD, **where, detail=move.error.detail)
        elif move.attempt:
            self._metrics.retried(move.error.type)
            log.info(Event.TASK_RETRIED, **where, attempt=move.attempt, delay=round(move.delay, 3))


def deque_numbers(buffer: BoundedDequeBuffer[Arrival]) -> Callable[[], DequeNumbers]:
    """Reads the buffer, for a scrape."""
    return lambda: DequeNumbers(100.0 * len(buffer) / buffer.max_size, buffer.metrics)


class StoreNumbersReader:
    """Reads the store, for a scrape: bounded however much is done already."""

    def __init__(self, database: Database, quota: SharedQuota, clock: Clock) -> None:
        self._database = database
        self._quota = quota
        self._clock = clock

    async def __call__(self) -> StoreNumbers:
        budgets = await self._quota.snapshot()
        spent = spent_projects(budgets, self._clock.now())
        jobs = await self._database.read(jobs_by_state)
        tasks = await self._database.read(tasks_by_stage_and_state)
        runnable = await self._database.read(runnable_by_stage, spent)
        waiting = await self._database.read(lag)
        scarce = scarcest(budgets)
        return StoreNumbers(
            jobs={str(status): count for status, count in jobs.items()},
            tasks=NO_TASKS | {(stage, str(status)): count for (stage, status), count in tasks.items()},
            runnable={str(stage): found.tasks for stage, found in runnable.items()},
            runnable_seconds={str(stage): found.seconds for stage, found in runnable.items()},
            tokens_expiring=await self._database.read(tokens_expiring),
            quota_limit={of: window.limit for of, window in scarce.items()},
            quota_left={of: window.left for of, window in scarce.items()},
            cooldown_seconds=self._cooldowns(budgets),
            unpublished=waiting.reviews,
            unpublished_seconds=waiting.seconds,
        )

    def _cooldowns(self, budgets: Iterable[BudgetView]) -> dict[str, float]:
        closed = {str(api): 0.0 for api in Api}
        for budget in budgets:
            if budget.closed_until is not None:
                closed[budget.api] = max(closed[budget.api], budget.closed_until - self._clock.now())
        return closed


def scarcest(budgets: Iterable[BudgetView]) -> dict[tuple[str, str], WindowView]:
    """(api, window) → the window of the Google project that has least left."""
    found: dict[tuple[str, str], WindowView] = {}
    for budget in budgets:
        for window in budget.windows:
            of = (budget.api, window.name)
            found[of] = min(window, found.get(of, window), key=lambda window: window.left)
    return found


def spent_projects(budgets: Iterable[BudgetView], now: float) -> dict[str, set[str]]:
    """API → the Google projects of which no call can be made, for longer than a worker waits with a task in hand."""
    spent: dict[str, set[str]] = {}
    for budget in budgets:
        if budget.next_call_at is not None and budget.next_call_at - now > LONGEST_WAIT_SECONDS:
            spent.setdefault(budget.api, set()).add(budget.project)
    return spent
