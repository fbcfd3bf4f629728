"""The guide's retry loop and outbox in one: due tasks, first runs and retries alike, are released to their topics.

Due times live in the store, so they survive a restart; what a lost message or a dead holder kept is released again.
"""

import asyncio
from collections.abc import Mapping

import structlog

from app.broker.base import Broker, BrokerUnavailableError
from app.broker.reach import Reach
from app.clock import Clock, until_set
from app.limits.spent import SpentBudgets
from app.models.job import Stage, Work
from app.retry.spans import release_spans
from app.store.budgets import read_budgets
from app.store.database import Database, StoreUnavailableError, Transaction
from app.store.release import START, QuotaWait, Released, Window, next_due, release, unrelease
from app.store.tasks import reclaim_all, reclaim_expired, reclaim_released
from app.store.turns import Place
from app.telemetry.events import Event

IDLE_SECONDS = 1.0
"""At least this often the store is asked, for what another process made due; wake-ups within this one come at once."""

RECLAIM_SECONDS = 3.0
"""How often expired leases are looked for; after an outage of the store the first time so late, because those who
live and could not say so do so first."""

BUDGETS_SECONDS = 0.25
"""How often the store is asked which budgets are spent: other processes' workers meet them. Each look costs one read;
between two, tasks may be released that can only come back."""

STORE_RETRY_SECONDS = 1.0

log = structlog.get_logger(__name__)


class RetryScheduler:
    """Releases what is due, by tenant and job in turn; `window` bounds what is out and not yet claimed, for each stage.

    `idle`: seconds until the store is asked although nobody woke us. `pause`: between two passes at least; where a pass
    costs several round trips, what many settles make due is released together.
    """

    def __init__(
        self,
        database: Database,
        broker: Broker,
        clock: Clock,
        spent: SpentBudgets,
        window: Window,
        *,
        pause: float = 0.0,
        idle: float = IDLE_SECONDS,
    ) -> None:
        self._database = database
        self._broker = broker
        self._clock = clock
        self._spent = spent
        self._window = window
        self._pause = pause
        self._idle = idle
        self._reach = Reach(clock)
        self._in_doubt = False
        self._places = dict.fromkeys(Stage, START)
        self._news = False
        self._woken = asyncio.Event()
        self._reclaim_at = 0.0
        self._budgets_at = 0.0

    @property
    def cut_off(self) -> bool:
        """Whether the broker has taken nothing for so long that another process shall try."""
        return self._reach.cut_off

    def wake(self) -> None:
        """Something is due, or there is room in a window: look at once, and at every job."""
        self._news = True
        self._woken.set()

    async def begin(self) -> None:
        """Before the first `run`: what a former process had released or held waits again. For the in-process broker."""
        if count := await self._database.write(reclaim_all):
            log.info(Event.TASKS_RECLAIMED, count=count, why="an earlier process had them")

    async def run(self) -> None:
        """Until cancelled. A store or broker that is away is tried again; nothing is lost meanwhile.

        What another released before may never have reached the broker: it is released anew.
        """
        self._in_doubt = True
        self._reach.succeeded()
        self._reclaim_later()
        while True:
            try:
                due = await self.release_due()
            except (StoreUnavailableError, BrokerUnavailableError) as error:
                log.warning(Event.SCHEDULER_AWAY, cause=str(error))
                if isinstance(error, StoreUnavailableError):
                    self._reclaim_later()
                await self._clock.sleep(STORE_RETRY_SECONDS)
                continue
            if self._pause:
                await self._clock.sleep(self._pause)
            await self._rest(due)

    async def release_due(self) -> float | None:
        """One pass over the stages. Returns when to look again (epoch seconds of this process), None if unknown.

        The database's clock may differ from ours: what is due is told by it, how long to rest by seconds.
        """
        self._woken.clear()
        if self._news:
            self._news, self._places = False, {stage: place.anew() for stage, place in self._places.items()}
        await self._reclaim()
        await self._settle_doubt()
        await self._look_at_budgets()
        closed = {stage: self._closed(stage) for stage in Stage}
        self._in_doubt = True  # until the broker has what this writes: also while the answer to the commit is lost
        released, due_in = await self._database.write(_release_all, self._window, self._places, closed)
        self._places = {stage: of.place for stage, of in released.items()}
        if works := [work for of in released.values() for work in of.works]:
            await self._publish(works)
        self._in_doubt = False
        if not all(of.complete for of in released.values()):
            self._woken.set()
        due = None if due_in is None else self._clock.now() + due_in
        return min((moment for moment in (due, self._spent.next_opening()) if moment is not None), default=None)

    def _closed(self, stage: Stage) -> Mapping[str, QuotaWait]:
        now = self._clock.now()
        waits = self._spent.waits(stage)
        return {project: QuotaWait(wait.reason, wait.until - now) for project, wait in waits.items()}

    async def _look_at_budgets(self) -> None:
        now = self._clock.monotonic()
        if now < self._budgets_at:
            return
        self._budgets_at = now + BUDGETS_SECONDS
        self._spent.learn(*await self._database.read(read_budgets))

    async def _publish(self, works: list[Work]) -> None:
        try:
            with release_spans(works, self._broker) as traced:
                await self._broker.publish(traced)
            self._reach.succeeded()
        except BrokerUnavailableError:
            self._reach.failed()
            await self._database.write(unrelease, works)
            self._in_doubt = False
            raise

    async def _settle_doubt(self) -> None:
        """Tasks may be released that the broker never got. Copies of them that it did get are worthless then."""
        if self._in_doubt and (count := await self._database.write(reclaim_released)):
            log.info(Event.TASKS_RECLAIMED, count=count, why="they may not have reached the broker")

    def _reclaim_later(self) -> None:
        self._reclaim_at = self._clock.monotonic() + RECLAIM_SECONDS

    async def _reclaim(self) -> None:
        if self._clock.monotonic() < self._reclaim_at:
            return
        self._reclaim_later()
        if count := await self._database.write(reclaim_expired):
            log.warning(Event.TASKS_RECLAIMED, count=count, why="their lease ran out")

    async def _rest(self, due: float | None) -> None:
        seconds = self._idle if due is None else min(self._idle, due - self._clock.now())
        await until_set(self._clock, self._woken, seconds)


def _release_all(
    transaction: Transaction,
    window: Window,
    places: Mapping[Stage, Place],
    closed: Mapping[Stage, Mapping[str, QuotaWait]],
) -> tuple[dict[Stage, Released], float | None]:
    released = {}
    for stage, place in places.items():
        elsewhere = {project for other in places if other is not stage for project in closed[other]}
        released[stage] = release(transaction, stage, window, place, closed[stage], elsewhere=elsewhere)
    due = next_due(transaction)
    return released, None if due is None else due - transaction.now
