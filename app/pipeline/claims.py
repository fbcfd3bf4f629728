"""Tasks taken from the store and settled there, however long it is away.

A commit whose answer was lost may have taken place. What this process holds by it and does not know of waits again at
once, not when its lease has run out.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from typing import Concatenate, ParamSpec, TypeVar

import structlog

from app.models.job import HeldTask, Stage, Work
from app.models.settlement import Settled, Settlement
from app.pipeline.leases import LEASE_SECONDS
from app.pipeline.outcome import Snooze, Spent
from app.pipeline.settle import Situation, settlement_of
from app.pipeline.tools import Tools
from app.store.database import StoreUnavailableError, Transaction
from app.store.settle import JobEndedMeanwhileError, settle
from app.store.tasks import claim, let_go
from app.telemetry.events import Event

STORE_RETRY_SECONDS = 0.5

GIVE_BACK_SECONDS = 2.0
"""For the store to take back what is cut off at a stop."""

log = structlog.get_logger(__name__)

Away = Callable[[StoreUnavailableError], None]

P = ParamSpec("P")
T = TypeVar("T")


class Claims:
    """Of one stage."""

    def __init__(self, tools: Tools, stage: Stage) -> None:
        self._tools = tools
        self._stage = stage
        self._holder = tools.leases.holder

    async def take(self, works: Iterable[Work]) -> list[HeldTask]:
        """Claim the tasks that these messages name; those that are ours now."""
        wanted = list({(work.task_id, work.version) for work in works})
        away = self._no_claim
        held, in_doubt = await self._until_taken(away, claim, wanted, self._holder, LEASE_SECONDS)
        if in_doubt:
            known = {task.task_id for task in held} | self._tools.leases.held
            await self._let_go(away, [(task, version + 1) for task, version in wanted if task not in known])
        return held

    async def refuse(self, task: HeldTask) -> None:
        """A forged message claimed it: it waits again, for its own message."""
        log.warning(Event.WORK_FORGED, stage=self._stage, task_id=task.task_id, job_id=task.job_id)
        with suppress(StoreUnavailableError):  # its lease runs out
            if await self._tools.database.write(let_go, [(task.task_id, task.version)], self._holder):
                self._tools.wake()

    async def settle(self, settlement: Settlement) -> Settled:
        """What was lost to another meanwhile is dropped by the guard."""
        task, away = settlement.task, self._no_settle
        try:
            settled, in_doubt = await self._until_taken(away, settle, settlement, self._tools.options.settle)
        except JobEndedMeanwhileError:
            return Settled(None)
        if in_doubt and settled.move is None:
            await self._let_go(away, [(task.task_id, task.version + 1)])
        return settled

    async def give_back(self, task: HeldTask) -> None:
        """Cut off: tried once, for a store that is away must not hold up the stop; the lease runs out by itself."""
        now = self._tools.clock.now()
        settlement = settlement_of(task, Snooze(now), Spent(), Situation(self._tools.policy, now))
        try:
            async with asyncio.timeout(GIVE_BACK_SECONDS):
                await self._tools.database.write(settle, settlement, self._tools.options.settle)
        except (StoreUnavailableError, JobEndedMeanwhileError, TimeoutError) as error:
            log.warning(Event.TASK_NOT_GIVEN_BACK, stage=self._stage, cause=str(error) or type(error).__name__)

    def _no_claim(self, error: StoreUnavailableError) -> None:
        log.warning(Event.CLAIM_STORE_AWAY, stage=self._stage, cause=str(error))

    def _no_settle(self, error: StoreUnavailableError) -> None:
        log.warning(Event.SETTLE_STORE_AWAY, stage=self._stage, cause=str(error))

    async def _let_go(self, away: Away, versions: Collection[tuple[int, int]]) -> None:
        if not versions:
            return
        number, _ = await self._until_taken(away, let_go, versions, self._holder)
        if number:
            self._tools.wake()

    async def _until_taken(
        self,
        away: Away,
        work: Callable[Concatenate[Transaction, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> tuple[T, bool]:
        """The answer, and whether an earlier try, whose answer did not come, may have been committed."""
        in_doubt = False
        while True:
            try:
                return await self._tools.database.write(work, *args, **kwargs), in_doubt
            except StoreUnavailableError as error:
                in_doubt = True
                away(error)
                await self._tools.clock.sleep(STORE_RETRY_SECONDS)
