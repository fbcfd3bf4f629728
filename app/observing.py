"""What happens in the walk, as metrics and log lines; and what the store knows, for a scrape."""

from collections.abc import Callable

import structlog

from app.clock import Clock
from app.google.errors import ErrorKind, GoogleAPIError
from app.ingest.buffer import BoundedDequeBuffer
from app.ingest.committer import Arrival
from app.limits.permits import Api
from app.limits.quota import SharedQuota
from app.models.job import HeldTask, TaskStatus
from app.models.settlement import Move, Settled, Settlement
from app.results.activity import ActivityLog
from app.store.database import Database
from app.store.measures import jobs_by_state, tasks_by_stage_and_state
from app.store.outbox import lag
from app.telemetry.events import Event
from app.telemetry.metrics import DequeNumbers, Metrics, StoreNumbers

log = structlog.get_logger(__name__)


class WalkObserver:
    """Counts calls and settlements, and says what matters of them: one line an event."""

    def __init__(self, metrics: Metrics, activity: ActivityLog) -> None:
        self._metrics = metrics
        self._activity = activity

    def called(self, task: HeldTask, api: Api, error: GoogleAPIError | None, seconds: float) -> None:
        self._metrics.called(api, "ok" if error is None else error.reason, seconds)
        throttled = error is not None and error.kind is ErrorKind.THROTTLED
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
            log.warning(Event.JOB_NEEDS_TOKEN, cause=settlement.token_problem.type)
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
        jobs = await self._database.read(jobs_by_state)
        tasks = await self._database.read(tasks_by_stage_and_state)
        waiting = await self._database.read(lag)
        left: dict[tuple[str, str], float] = {}
        closed: dict[str, float] = {str(api): 0.0 for api in Api}
        for budget in await self._quota.snapshot():
            for window in budget.windows:
                key = (budget.api, window.name)
                left[key] = min(window.left, left.get(key, window.left))
            if budget.closed_until is not None:
                closed[budget.api] = max(closed[budget.api], budget.closed_until - self._clock.now())
        return StoreNumbers(
            {str(status): count for status, count in jobs.items()},
            {(stage, str(status)): count for (stage, status), count in tasks.items()},
            left,
            closed,
            waiting.reviews,
            waiting.seconds,
        )
