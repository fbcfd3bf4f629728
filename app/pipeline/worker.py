"""The loop of a worker: claim, step, settle, acknowledge; many tasks at once, one page of each at a time.

The three stages are subclasses that say what their pages mean. Everything that is the same for them is here: the
right to work (`claims` and leases), the quota, the translation of Google's errors, and an orderly stop.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar, assert_never

import structlog

from app.broker.base import Delivery
from app.crash import CrashPoint, crash_point
from app.google.errors import ErrorKind, GoogleAPIError
from app.limits.permits import LONGEST_WAIT_SECONDS, Api, Permit, Wait
from app.limits.waiters import Tenant
from app.models.job import DEFAULT_PROJECT, HeldTask, Problem, Stage, TaskStatus, Work
from app.models.pools import Pool
from app.models.settlement import Settled
from app.pipeline import refusals
from app.pipeline.claims import Claims
from app.pipeline.outcome import DeadLetter, Outcome, Retry, Snooze, Spent
from app.pipeline.owners import ASK_AGAIN_SECONDS
from app.pipeline.settle import Situation, settlement_of
from app.pipeline.spans import page_span, settle_span, tell_page, tell_settled
from app.pipeline.tools import TokenUnreadableError, Tools
from app.telemetry.events import Event
from app.telemetry.logging import job_context
from app.telemetry.tracing import nearer

MOST_CRASHES = 10
"""A page that was claimed so often without a settle kills its process, most likely: it must not do so for ever."""

TURN_SECONDS = 1.0
"""After so long with a task in hand it makes room when work of another job waits. A time, not a number of pages: under
a quota a few pages of sixteen tasks can take minutes."""

log = structlog.get_logger(__name__)

Page = TypeVar("Page")


class Worker(ABC, Generic[Page]):
    """One stage of the walk. `run` returns after `stop`; both are called once."""

    stage: ClassVar[Stage]
    api: ClassVar[Api]

    def __init__(self, tools: Tools) -> None:
        self.tools = tools
        self.google = tools.google
        self.policy = tools.policy
        self.clock = tools.clock
        self.options = tools.options
        self._claims = Claims(tools, self.stage)
        self._consumer = tools.broker.consumer(self.stage)
        self._working: set[asyncio.Task[None]] = set()
        self._free = asyncio.Event()
        self._free.set()
        self._receiving: asyncio.Task[list[Delivery]] | None = None
        self._taking: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    @abstractmethod
    async def fetch(self, task: HeldTask, token: str) -> Page:
        """The task's page from Google, in one call."""

    @abstractmethod
    def advance(self, task: HeldTask, page: Page) -> Outcome:
        """What the page means."""

    @abstractmethod
    def refused(self, task: HeldTask, error: GoogleAPIError) -> Outcome:
        """What a permanent refusal of what was asked for means."""

    def page_token_refused_again(self, task: HeldTask, error: GoogleAPIError) -> Outcome:
        """Google refused the page token of a list that had been started again already."""
        return DeadLetter(refusals.problem_of(error))

    async def run(self) -> None:
        """Receive and claim as long as there is room, until `stop`."""
        while True:
            await self._free.wait()
            if self._stop.is_set():
                return
            self._receiving = asyncio.ensure_future(self._consumer.receive(self._room))
            try:
                deliveries = await self._receiving
            except asyncio.CancelledError:
                if self._stop.is_set():
                    return
                raise
            if self._stop.is_set():
                return  # it came in the very moment: nobody acknowledged it, so it comes again
            self._taking = asyncio.create_task(self._take(deliveries))
            await self._taking

    async def stop(self, grace: float) -> None:
        """Take no more; pages in flight settle and their tasks go back. After `grace` seconds the rest is cut off."""
        self._stop.set()
        self._free.set()
        if self._receiving is not None:
            self._receiving.cancel()
        crash_point(CrashPoint.SHUTDOWN)
        deadline = self.clock.monotonic() + grace
        if self._taking is not None:
            await _end({self._taking}, grace)
        await _end(self._working, max(0.0, deadline - self.clock.monotonic()))

    def pool(self) -> Pool:
        """The places of this stage here, and the work that this process has received and not taken."""
        return Pool(len(self._working), self._consumer.waiting(), self.options.concurrency)

    @property
    def _room(self) -> int:
        return self.options.concurrency - len(self._working)

    async def _take(self, deliveries: Sequence[Delivery]) -> None:
        """Claim what was delivered; whatever is not ours to do is acknowledged and forgotten."""
        held = {task.task_id: task for task in await self._claims.take(delivery.work for delivery in deliveries)}
        self.tools.wake()
        for delivery in deliveries:
            task = held.pop(delivery.work.task_id, None)
            if task is not None and self._is_meant(task, delivery.work):
                task.weight = delivery.work.weight
                task.traceparent = nearer(task.traceparent, delivery.work.traceparent)
                self._begin(task, delivery)
                continue
            if task is not None:
                await self._claims.refuse(task)
            self._consumer.acknowledge(delivery)

    def _is_meant(self, task: HeldTask, work: Work) -> bool:
        """A message can name any task: one of another stage would be read as what it is not."""
        return (task.stage, task.tenant, task.job_id) == (self.stage, work.tenant, work.job_id)

    def _begin(self, task: HeldTask, delivery: Delivery) -> None:
        self.tools.leases.add(task.task_id)
        working = asyncio.create_task(self._work(task, delivery))
        self._working.add(working)
        working.add_done_callback(self._ended)
        if self._room <= 0:
            self._free.clear()

    def _ended(self, working: asyncio.Task[None]) -> None:
        self._working.discard(working)
        self._free.set()
        if not working.cancelled() and (error := working.exception()) is not None:
            log.error(Event.TASK_BROKEN_OFF, stage=self.stage, exc_info=error)

    async def _work(self, task: HeldTask, delivery: Delivery) -> None:
        """Page after page, until the task ends, waits, or makes room for others."""
        began = self.clock.monotonic()
        with job_context(task.job_id):
            try:
                while await self._step_and_settle(task, began):
                    pass
            except asyncio.CancelledError:
                await self._claims.give_back(task)
                raise
            finally:
                self.tools.leases.remove(task.task_id)
                self._consumer.acknowledge(delivery)

    async def _step_and_settle(self, task: HeldTask, began: float) -> bool:
        """Whether there is another page to read with the task in hand, which was taken at `began`."""
        spent = Spent()
        with page_span(task, self.tools.broker) as span:
            outcome = await self._step(task, spent)
            turn_is_over = self.clock.monotonic() - began >= TURN_SECONDS and self._consumer.others_wait(task.job_id)
            settled = await self._write(task, outcome, spent, yields=turn_is_over or self._stop.is_set())
            tell_page(span, outcome, settled)
        if settled.move is None or settled.move.status is not TaskStatus.HELD:
            return False
        _carry_on(task, settled)
        return True

    async def _step(self, task: HeldTask, spent: Spent) -> Outcome:
        if task.crashes > MOST_CRASHES:
            detail = f"This page was begun {task.crashes} times and never finished: it seems to end its process."
            return DeadLetter(Problem("crash_loop", detail))
        if (waits := await self.tools.refresher.ready(task)) is not None:
            return waits
        try:
            token = self.tools.tokens.open(task)
            await self._learn_project(task, token, spent)
        except TokenUnreadableError as error:
            return Snooze(self.clock.now(), token_problem=Problem("token_unreadable", str(error)))
        except GoogleAPIError as error:
            return await self.tools.refresher.refused(task, error)
        permit = await self._permit(task)
        if isinstance(permit, Wait):
            self.tools.spent_budgets.wait_for(task.project or DEFAULT_PROJECT, self.api, permit)
            return self._waits(task, permit)
        return await self._call(task, token, spent, permit)

    async def _learn_project(self, task: HeldTask, token: str, spent: Spent) -> None:
        """Ask once for each token of a job whose quota it spends and how long it lives; again at a later page when
        Google could not be asked. Only a refusal stops here."""
        if task.project is not None:
            return
        owner, asked = await self.tools.owners.of(task, token)
        spent.calls += int(asked)
        task.project = spent.project = owner.project
        spent.token_expires_at = owner.token_expires_at
        task.token_expires_at = owner.token_expires_at or task.token_expires_at

    async def _permit(self, task: HeldTask) -> Permit | Wait:
        """Leave for one call, checked once more as the last thing before it is used."""
        project, tenant = task.project or DEFAULT_PROJECT, Tenant(task.tenant, task.weight)
        while True:
            permit = await self.tools.quota.acquire(project, self.api, max_wait=LONGEST_WAIT_SECONDS, tenant=tenant)
            if isinstance(permit, Wait) or self.tools.quota.still_valid(permit):
                return permit
            self.tools.quota.released(permit)

    async def _call(self, task: HeldTask, token: str, spent: Spent, permit: Permit) -> Outcome:
        spent.calls += 1
        began = self.clock.monotonic()
        try:
            page = await self.fetch(task, token)
        except GoogleAPIError as error:
            self.tools.observer.called(task, self.api, error, self.clock.monotonic() - began)
            return await self._failed(task, error, permit)
        except BaseException:
            self.tools.quota.released(permit)
            raise
        self.tools.observer.called(task, self.api, None, self.clock.monotonic() - began)
        await self.tools.quota.succeeded(permit)
        crash_point(CrashPoint.PAGE_READ)
        return self.advance(task, page)

    async def _failed(self, task: HeldTask, error: GoogleAPIError, permit: Permit) -> Outcome:
        """The table of DESIGN, "Errors of Google"."""
        if error.kind is ErrorKind.THROTTLED:
            wait = await self.tools.quota.throttled(permit, error.retry_after)
            self.tools.spent_budgets.wait_for(permit.project, self.api, wait)
            return self._waits(task, wait)
        if error.kind is ErrorKind.TRANSIENT:
            self.tools.quota.released(permit)
            return Retry(refusals.problem_of(error), error.retry_after)
        await self.tools.quota.succeeded(permit)
        match error.kind:
            case ErrorKind.NOT_APPROVED | ErrorKind.NOT_ENTITLED:  # not about what was asked for: no account would do
                fails_job = error.kind is ErrorKind.NOT_APPROVED or self.stage is Stage.ACCOUNTS
                return DeadLetter(refusals.problem_of(error), fails_job=fails_job)
            case ErrorKind.UNAUTHENTICATED:
                return await self.tools.refresher.refused(task, error)
            case ErrorKind.PAGE_TOKEN_REFUSED:
                return refusals.start_again(task, error) or self.page_token_refused_again(task, error)
            case ErrorKind.REFUSED:
                return self.refused(task, error)
        assert_never(error.kind)

    def _waits(self, task: HeldTask, wait: Wait) -> Snooze:
        """While the job's project is not known, another budget stands in for it: for no longer than until it is asked
        for again."""
        until = wait.until if task.project else min(wait.until, self.clock.now() + ASK_AGAIN_SECONDS)
        return Snooze(until, wait.reason)

    async def _write(self, task: HeldTask, outcome: Outcome, spent: Spent, *, yields: bool = False) -> Settled:
        """Settle, and tell whoever has to know."""
        if isinstance(outcome, Retry):
            crash_point(CrashPoint.RETRY_WRITE)
        situation = Situation(self.policy, self.clock.now(), yields)
        settlement = settlement_of(task, outcome, spent, situation)
        began = self.clock.monotonic()
        with settle_span() as span:
            settled = await self._claims.settle(settlement)
            if span.recording:
                tell_settled(span, settled, self.tools.database.system)
        crash_point(CrashPoint.SETTLED)
        self.tools.observer.settled(settlement, settled, self.clock.monotonic() - began)
        if settled.new_tasks or settled.status is TaskStatus.WAITING:
            self.tools.wake()
        if settled.new_reviews or settlement.given_up or settled.status is TaskStatus.DEAD:
            self.tools.announce()
        return settled


async def _end(tasks: set[asyncio.Task[None]], grace: float) -> None:
    """Wait for them, and cut off what has not ended after `grace` seconds."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=grace)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)


def _carry_on(task: HeldTask, settled: Settled) -> None:
    """The task in hand as the settle left it."""
    move = settled.move
    if move is None:
        return
    task.version = settled.version
    task.cursor, task.walk, task.pages = move.cursor, move.walk, move.pages
    task.restarts, task.missing, task.attempt, task.crashes = move.restarts, move.missing, move.attempt, 0
    task.pages_settled += 1
    task.location_fetched += settled.new_reviews
    if settled.total is not None:
        task.location_total = settled.total
