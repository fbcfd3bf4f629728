"""The producer loop: what gathers in the buffer is committed in batches, and each waiter answered after the commit.

An item wakes the loop, so an idle service commits at once; while a commit is under way the next batch gathers, which
is what makes durable answers cheap under load.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from app.clock import Clock, SystemClock, first_done
from app.crash import CrashPoint, crash_point
from app.ingest.buffer import BoundedDequeBuffer
from app.ingest.errors import BufferFullError, NotAnsweredError, StoppingError, SubmitLimitError
from app.models.limits import NO_LIMITS, SubmitLimits
from app.store.database import Database, StoreUnavailableError
from app.store.submit import NewJob, Submitted, is_known, submit
from app.telemetry import tracing
from app.telemetry.conventions import DB_SYSTEM_NAME
from app.telemetry.events import Event
from app.telemetry.tracing import Kind

BATCH_SIZE = 100
"""Jobs in one transaction: beyond it a commit is hardly cheaper per job, and the first of them waits longer."""

ACCEPT = "accept"
"""What a job's way through the buffer and into the store is called in its trace."""

COMMITS_AT_ONCE = 4
"""When the store is slower than the interval: bounds what is out of the buffer and not yet committed."""


log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Arrival:
    """A job that waits for its commit, and where its answer goes."""

    job: NewJob
    answer: asyncio.Future[Submitted]


class Committer:
    """Accepts jobs through `buffer`. After each commit with a new job it calls `committed`.

    A batch waits for the commit under way, at most `interval` seconds (DEQUE_BURST_CHECK_INTERVAL_SEC); then it is
    committed beside it. A caller waits at most `answer_within` seconds. `limits` are those of a tenant
    that has none of its own.
    """

    def __init__(
        self,
        buffer: BoundedDequeBuffer[Arrival],
        database: Database,
        *,
        committed: Callable[[], None],
        interval: float = 0.1,
        answer_within: float = 10.0,
        limits: SubmitLimits = NO_LIMITS,
        clock: Clock | None = None,
    ) -> None:
        self._buffer = buffer
        self._database = database
        self._committed = committed
        self._interval = interval
        self._answer_within = answer_within
        self._limits = limits
        self._clock = clock or SystemClock()
        self._under_way: set[asyncio.Task[None]] = set()
        self._open: set[Arrival] = set()
        self._stopping = False

    async def accept(self, job: NewJob) -> Submitted:
        """Returns when the job is durable. A caller that gives up leaves it either committed or not there at all.

        Raises `BufferFullError`, `StoppingError`, `NotAnsweredError`, `SubmitLimitError`, and `StoreUnavailableError`.
        """
        if self._stopping:
            raise StoppingError
        arrival = Arrival(job, asyncio.get_running_loop().create_future())
        if not await self._buffer.enqueue(arrival):
            raise BufferFullError
        self._open.add(arrival)
        try:
            with tracing.child(ACCEPT, Kind.CLIENT) as span:
                if span.recording:
                    span.tell({DB_SYSTEM_NAME: self._database.system})
                async with asyncio.timeout(self._answer_within):
                    answer = await arrival.answer
        except TimeoutError:
            raise NotAnsweredError from None
        finally:
            self._open.discard(arrival)
        if answer.refused is not None:
            raise SubmitLimitError(answer.refused, answer.limits)
        return answer

    async def knows(self, tenant: str, idempotency_key: str) -> bool:
        """Whether there was a job for it in the last 24 hours. Raises `StoreUnavailableError`."""
        return await self._database.read(is_known, tenant, idempotency_key)

    def give_up(self) -> None:
        """Accept nothing more. Who is not answered yet hears that it is not known: what is being committed goes on, and
        what still waits for that is dropped."""
        self._stopping = True
        for arrival in self._open:
            if not arrival.answer.done():
                arrival.answer.set_exception(NotAnsweredError())

    async def run(self) -> None:
        """Commit what comes, until cancelled. May be started again: what waits in the buffer is found there."""
        while True:
            await self._buffer.wait_for_items()
            await self._turn()
            await self._start_commit()

    async def stop(self) -> None:
        """Accept nothing more, commit what waits and answer everybody. Idempotent; needs no running loop."""
        self._stopping = True
        while len(self._buffer) or self._under_way:
            await self._start_commit()
            if self._under_way:
                await asyncio.wait(self._under_way)

    async def _turn(self) -> None:
        if self._under_way:
            await first_done(self._clock, self._interval, self._under_way)
        while len(self._under_way) >= COMMITS_AT_ONCE:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)

    async def _start_commit(self) -> None:
        """Take a batch and commit it in a task of its own. Who has given up waiting is left out."""
        taken = await self._buffer.dequeue_batch(BATCH_SIZE)
        batch = sorted((arrival for arrival in taken if not arrival.answer.done()), key=_lock_order)
        if batch:
            task = asyncio.create_task(self._commit(batch), name="commit-jobs")
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _commit(self, batch: list[Arrival]) -> None:
        try:
            answers = await self._write([arrival.job for arrival in batch])
        except Exception as error:
            for arrival in batch:
                _refuse(arrival, error)
            return
        for arrival, answer in zip(batch, answers, strict=True):
            if not arrival.answer.done():
                arrival.answer.set_result(answer)
        accepted = [answer.job_id for answer in answers if not (answer.replayed or answer.refused)]
        if accepted:
            log.info(Event.JOBS_ACCEPTED, count=len(accepted), job_ids=accepted)
            self._committed()

    async def _write(self, jobs: list[NewJob]) -> list[Submitted]:
        crash_point(CrashPoint.BEFORE_JOB_COMMIT)
        answers = await self._database.write(submit, jobs, self._limits)
        crash_point(CrashPoint.AFTER_JOB_COMMIT)
        return answers


def _lock_order(arrival: Arrival) -> tuple[str, str]:
    """Idempotency keys are unique rows: two commits that took them in different orders would wait for each other."""
    return arrival.job.tenant, arrival.job.idempotency_key or ""


def _refuse(arrival: Arrival, error: Exception) -> None:
    """Each waiter raises an error of its own: one instance raised in many tasks collects all their tracebacks."""
    if arrival.answer.done():
        return
    own = StoreUnavailableError(*error.args) if isinstance(error, StoreUnavailableError) else RuntimeError("commit")
    own.__cause__ = error
    arrival.answer.set_exception(own)
