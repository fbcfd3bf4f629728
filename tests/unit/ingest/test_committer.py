"""The producer loop over a store whose commits the test lets through one by one."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest

from app.ingest.buffer import BoundedDequeBuffer
from app.ingest.committer import BATCH_SIZE, COMMITS_AT_ONCE, Arrival, Committer
from app.ingest.errors import BufferFullError, NotAnsweredError, StoppingError
from app.store.database import Database, StoreUnavailableError
from app.store.submit import NewJob, Submitted
from tests.support.clock import ManualClock, settle_loop


class SlowStore:
    """Commits wait in `begun` until the test lets them through; `committed` has the ids of each commit."""

    def __init__(self) -> None:
        self.begun: list[tuple[list[NewJob], asyncio.Future[None]]] = []
        self.committed: list[list[str]] = []

    async def write(self, _work: Callable[..., Any], jobs: list[NewJob], _limits: object) -> list[Submitted]:
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.begun.append((jobs, gate))
        await gate
        self.committed.append([job.id for job in jobs])
        return [Submitted(job.id, replayed=job.id.startswith("again")) for job in jobs]

    async def let_through(self, error: Exception | None = None) -> None:
        """End the oldest commit that is under way."""
        gate = next(gate for _, gate in self.begun if not gate.done())
        gate.set_result(None) if error is None else gate.set_exception(error)
        await settle_loop()

    @property
    def sizes(self) -> list[int]:
        return [len(jobs) for jobs, _ in self.begun]


class Bench:
    """A running committer and what happened around it."""

    def __init__(self, size: int, answer_within: float) -> None:
        self.store = SlowStore()
        self.clock = ManualClock()
        self.buffer = BoundedDequeBuffer[Arrival](size)
        self.wakes = 0
        self.committer = Committer(
            self.buffer,
            cast("Database", self.store),
            committed=self._wake,
            interval=0.1,
            answer_within=answer_within,
            clock=self.clock,
        )

    def _wake(self) -> None:
        self.wakes += 1

    async def accept(self, *ids: str) -> list["asyncio.Task[Submitted]"]:
        tasks = [asyncio.create_task(self.committer.accept(NewJob(id_, "default", "key-1", b"sealed"))) for id_ in ids]
        await settle_loop()
        return tasks

    async def accept_many(self, count: int) -> list["asyncio.Task[Submitted]"]:
        return await self.accept(*(f"job-{number}" for number in range(count)))


@asynccontextmanager
async def running(size: int = 10_000, answer_within: float = 60.0) -> AsyncIterator[Bench]:
    bench = Bench(size, answer_within)
    loop = asyncio.create_task(bench.committer.run())
    await settle_loop()
    try:
        yield bench
    finally:
        loop.cancel()
        with suppress(asyncio.CancelledError):
            await loop


async def test_an_idle_committer_commits_at_once() -> None:
    async with running() as bench:
        (waiter,) = await bench.accept("a")
        assert bench.store.sizes == [1]
        assert not waiter.done()
        await bench.store.let_through()
        assert waiter.result() == Submitted("a")
        assert bench.clock.monotonic() == 0


async def test_what_comes_during_a_commit_shares_the_next_one() -> None:
    async with running() as bench:
        first = await bench.accept("a")
        later = await bench.accept("b", "c", "d")
        assert bench.store.sizes == [1]
        await bench.store.let_through()
        assert bench.store.sizes == [1, 3]
        await bench.store.let_through()
        assert [task.result().job_id for task in (*first, *later)] == ["a", "b", "c", "d"]


async def test_a_batch_waits_for_a_slow_commit_no_longer_than_the_interval() -> None:
    async with running() as bench:
        await bench.accept("a")
        await bench.accept("b")
        await bench.clock.advance(0.09)
        assert bench.store.sizes == [1]
        await bench.clock.advance(0.02)
        assert bench.store.sizes == [1, 1]
        await bench.store.let_through()
        await bench.store.let_through()


async def test_a_store_that_hangs_gets_a_bounded_number_of_commits() -> None:
    async with running() as bench:
        for number in range(10):
            await bench.accept(f"job-{number}")
            await bench.clock.advance(0.2)
        assert len(bench.store.begun) == COMMITS_AT_ONCE
        for _ in range(COMMITS_AT_ONCE):
            await bench.store.let_through()
        assert sum(bench.store.sizes) == 10
        await bench.store.let_through()


async def test_a_commit_has_at_most_a_hundred_jobs() -> None:
    async with running() as bench:
        tasks = await bench.accept_many(250)
        while any(not gate.done() for _, gate in bench.store.begun):
            await bench.store.let_through()
        assert bench.store.sizes == [BATCH_SIZE, BATCH_SIZE, 50]
        assert all(task.done() for task in tasks)


async def test_the_scheduler_is_woken_after_the_commit_and_not_for_replays() -> None:
    async with running() as bench:
        await bench.accept("a")
        assert bench.wakes == 0
        await bench.store.let_through()
        assert bench.wakes == 1
        await bench.accept("again-a")
        await bench.store.let_through()
        assert bench.wakes == 1


async def test_a_store_that_is_away_fails_its_batch_and_nothing_else() -> None:
    async with running() as bench:
        lost = await bench.accept("a")
        lost += await bench.accept("b")
        await bench.store.let_through(StoreUnavailableError("away"))
        await bench.store.let_through(StoreUnavailableError("away"))
        errors = [task.exception() for task in lost]
        assert [type(error) for error in errors] == [StoreUnavailableError] * 2
        (kept,) = await bench.accept("c")
        await bench.store.let_through()
        assert kept.result().job_id == "c"
        assert bench.store.committed == [["c"]]
        assert bench.wakes == 1


async def test_waiters_of_one_batch_raise_errors_of_their_own() -> None:
    async with running() as bench:
        await bench.accept("a")
        waiters = await bench.accept("b", "c")
        await bench.store.let_through()
        await bench.store.let_through(StoreUnavailableError("away"))
        first, second = (task.exception() for task in waiters)
        assert first is not second


async def test_a_fault_of_the_store_code_reaches_the_caller_and_the_loop_lives_on() -> None:
    async with running() as bench:
        (broken,) = await bench.accept("a")
        await bench.store.let_through(ZeroDivisionError())
        assert isinstance(broken.exception(), RuntimeError)
        (kept,) = await bench.accept("b")
        await bench.store.let_through()
        assert kept.result().job_id == "b"


async def test_a_full_buffer_refuses_at_once() -> None:
    async with running(size=2) as bench:
        await bench.accept("under-way")
        waiting = await bench.accept("a", "b")
        (refused,) = await bench.accept("c")
        assert isinstance(refused.exception(), BufferFullError)
        await bench.store.let_through()
        await bench.store.let_through()
        assert [task.result().job_id for task in waiting] == ["a", "b"]


async def test_a_caller_who_gives_up_in_the_buffer_leaves_no_job() -> None:
    async with running() as bench:
        await bench.accept("under-way")
        gone, stays = await bench.accept("a", "b")
        gone.cancel()
        await bench.store.let_through()
        await bench.store.let_through()
        assert stays.result().job_id == "b"
        assert bench.store.committed == [["under-way"], ["b"]]


async def test_a_caller_who_gives_up_during_the_commit_leaves_a_whole_job() -> None:
    async with running() as bench:
        gone, stays = await bench.accept("a", "b")
        gone.cancel()
        await bench.store.let_through()
        assert bench.store.committed == [["a", "b"]]
        assert stays.result().job_id == "b"


async def test_a_caller_is_not_kept_waiting_for_ever() -> None:
    async with running(answer_within=0.01) as bench:
        (waiter,) = await bench.accept("a")
        with pytest.raises(NotAnsweredError):
            await waiter
        await bench.store.let_through()


async def test_giving_up_tells_those_who_wait_that_nothing_is_known_and_still_commits_what_is_under_way() -> None:
    async with running() as bench:
        begun, waits = [*await bench.accept("begun"), *await bench.accept("waits")]
        bench.committer.give_up()
        for task in (begun, waits):
            with pytest.raises(NotAnsweredError):
                await task
        (late,) = await bench.accept("late")
        assert isinstance(late.exception(), StoppingError)
        await bench.store.let_through()
        await bench.committer.stop()
        assert bench.store.committed == [["begun"]]


async def test_stopping_commits_what_waits_answers_everybody_and_takes_nothing_new() -> None:
    async with running() as bench:
        tasks = await bench.accept("a")
        tasks += await bench.accept_many(150)
        stopping = asyncio.create_task(bench.committer.stop())
        (refused,) = await bench.accept("late")
        assert isinstance(refused.exception(), StoppingError)
        while not stopping.done():
            await bench.store.let_through()
        assert all(task.result() for task in tasks)
        assert sum(bench.store.sizes) == 151
        await bench.committer.stop()


async def test_stopping_needs_no_running_loop() -> None:
    bench = Bench(100, 60.0)
    (waiter,) = await bench.accept("a")
    stopping = asyncio.create_task(bench.committer.stop())
    await settle_loop()
    await bench.store.let_through()
    await stopping
    assert waiter.result().job_id == "a"


async def test_idempotency_keys_are_written_in_one_order_whatever_the_order_of_arrival() -> None:
    async with running() as bench:
        await bench.accept("under-way")
        keys = [("b", "x"), ("a", "z"), ("a", None), ("a", "y")]
        jobs = [NewJob(f"{tenant}-{key}", tenant, "key-1", b"sealed", key) for tenant, key in keys]
        tasks = [asyncio.create_task(bench.committer.accept(job)) for job in jobs]
        await settle_loop()
        await bench.store.let_through()
        await bench.store.let_through()
        assert bench.store.committed[1] == ["a-None", "a-y", "a-z", "b-x"]
        assert [task.result().job_id for task in tasks] == [job.id for job in jobs]
