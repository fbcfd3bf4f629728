"""Several replicas over one budget store, with clocks that differ, that can stop for a while or for good."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from app.clock import Clock
from app.limits.permits import Api, Permit
from app.limits.quota import SharedQuota
from app.limits.rules import Limits
from tests.support.clock import ManualClock
from tests.unit.limits.memory_store import MemoryBudgetStore

T = TypeVar("T")
Google = Callable[[float], float | None]
"""What a call at a moment is answered with: None is good, a number is 429 with this Retry-After."""

WORKERS = 16
LATENCY_SECONDS = 0.05


def always_good(_: float) -> None:
    """A Google that is never short of quota."""


@dataclass
class ReplicaClock:
    """The true clock as one machine shows it. `awake` is cleared while the machine's process is stopped."""

    true: ManualClock
    ahead: float
    awake: asyncio.Event

    def now(self) -> float:
        return self.true.now() + self.ahead

    def monotonic(self) -> float:
        return self.true.monotonic() + 1000.0 + self.ahead

    async def sleep(self, seconds: float) -> None:
        await self.true.sleep(seconds)
        await self.awake.wait()


@dataclass
class ReplicaStore:
    """The store as a process sees it that may be stopped while its question is under way."""

    store: MemoryBudgetStore
    awake: asyncio.Event

    async def change_budget(
        self, project: str, api: str, change: Callable[[bytes | None, float], tuple[bytes, T]]
    ) -> T:
        await self.awake.wait()
        answer = await self.store.change_budget(project, api, change)
        await self.awake.wait()
        return answer

    async def read_budgets(self) -> tuple[float, Sequence[tuple[str, str, bytes]]]:
        await self.awake.wait()
        answer = await self.store.read_budgets()
        await self.awake.wait()
        return answer


class Replica:
    """Workers that call whenever they are allowed to. `sent` are the true times at which calls reached Google."""

    def __init__(self, fleet: "Fleet", limits: Limits, name: str, ahead: float) -> None:
        self._fleet = fleet
        self._limits = limits
        self._awake = asyncio.Event()
        self._awake.set()
        self.clock: Clock = ReplicaClock(fleet.clock, ahead, self._awake)
        self.quota = SharedQuota(
            ReplicaStore(fleet.store, self._awake), {Api.REVIEWS: limits}, name, self.clock, fleet.dice.random
        )
        self.workers = [asyncio.create_task(self._work()) for _ in range(WORKERS)]

    def stop(self) -> None:
        """As SIGSTOP does it; kill -9 is the same and nobody wakes it."""
        self._awake.clear()

    def wake(self) -> None:
        self._awake.set()

    async def leave(self) -> None:
        """An orderly end."""
        await self._end_workers()
        await self.quota.close()

    async def _end_workers(self) -> None:
        for worker in self.workers:
            worker.cancel()
        for worker in self.workers:
            with suppress(asyncio.CancelledError):
                await worker

    async def _work(self) -> None:
        while True:
            answer = await self.quota.acquire("p", Api.REVIEWS, max_wait=2.0)
            await self._awake.wait()
            if isinstance(answer, Permit) and self.quota.still_valid(answer):
                await self._call(answer)
            elif isinstance(answer, Permit):
                self.quota.released(answer)
            else:
                await self.clock.sleep(max(0.001, answer.until - self.clock.now()))

    async def _call(self, permit: Permit) -> None:
        await self._fleet.clock.sleep(self._fleet.dice.uniform(0, self._limits.bucket_transit))  # on its way
        retry_after = self._fleet.reached_google()
        await self.clock.sleep(LATENCY_SECONDS)
        if retry_after is None:
            await self.quota.succeeded(permit)
        else:
            await self.quota.throttled(permit, retry_after)


@dataclass
class Fleet:
    """The replicas, what they share, and the ledger: the database's time of each call, and of each 429."""

    clock: ManualClock
    dice: Random = field(default_factory=lambda: Random(1))
    google: Google = always_good
    store: MemoryBudgetStore = field(init=False)
    calls: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    _replicas: list[Replica] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store = MemoryBudgetStore(self.clock, ahead=-37.0, delay=0.002)

    def add(self, limits: Limits) -> Replica:
        """One more, whose clock is up to half a minute off."""
        number = len(self._replicas)
        replica = Replica(self, limits, f"replica {number}", self.dice.uniform(-30, 30))
        self._replicas.append(replica)
        return replica

    def reached_google(self) -> float | None:
        """A call arrives; its Retry-After when it is refused."""
        self.calls.append(self.store.now())
        retry_after = self.google(self.clock.now())
        if retry_after is not None:
            self.refused.append(self.store.now())
        return retry_after

    async def disband(self) -> None:
        """All leave; those that were stopped come back for it."""
        for replica in self._replicas:
            replica.wake()
        await self.leave(*self._replicas)

    async def leave(self, *replicas: Replica) -> None:
        """These leave, and time goes on until they have."""
        leaving = asyncio.gather(*(replica.leave() for replica in replicas))
        while not leaving.done():
            await self.clock.advance(0.1)
        await leaving
