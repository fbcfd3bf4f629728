"""Units of work that wait for each other anyway share a transaction: a few lanes, each with one at a time.

All pages of a job change the job's row, so each waits until the one before it is on the disk. Together they wait once.
"""

import asyncio
import zlib
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from app.models.pools import Pool
from app.store.database import Place, StoreUnavailableError, Transaction
from app.telemetry.shared import shared_task

T = TypeVar("T")

LANES = 2
"""While one waits for the server, the other computes here; more only make more and smaller transactions."""

UNITS_A_COMMIT = 16
"""They hold the rows of their jobs until the last is done: 16 pages of 50 reviews take about 50 ms."""


class _Unit:
    """One piece of work that waits for its commit, and where its answer goes."""

    __slots__ = ("future", "place", "work")

    def __init__(self, place: Place, work: Callable[[Transaction], Any]) -> None:
        self.place = place
        self.work = work
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


class Lanes:
    """`transact` runs work in a transaction of its own; it raises `StoreUnavailableError` or what the work raises.

    `committed` is told how many units of work each commit held.
    """

    def __init__(
        self,
        transact: Callable[[Callable[[Transaction], list[Any]]], Awaitable[list[Any]]],
        committed: Callable[[int], None] = lambda _units: None,
    ) -> None:
        self._transact = transact
        self._committed = committed
        self._waiting: list[deque[_Unit]] = [deque() for _ in range(LANES)]
        self._running: dict[int, asyncio.Task[None]] = {}

    async def run(self, place: Place, work: Callable[[Transaction], T]) -> T:
        """In the order of arrival among those of its key and rank. Cancelled: it may still be committed."""
        unit = _Unit(place, work)
        lane = zlib.crc32(place[0].encode()) % LANES
        self._waiting[lane].append(unit)
        if lane not in self._running:
            self._running[lane] = shared_task(self._drive(lane), f"store-lane-{lane}")
        result: T = await unit.future
        return result

    def pool(self) -> Pool:
        """The lanes that are driven, and the units that wait in them."""
        return Pool(len(self._running), sum(len(waiting) for waiting in self._waiting), LANES)

    async def close(self, grace: float) -> None:
        """What is under way may take `grace` seconds more; what waits then is not written."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=grace)
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def _drive(self, lane: int) -> None:
        group: list[_Unit] = []
        try:
            while group := self._next_group(self._waiting[lane]):
                await self._commit(group)
        finally:
            del self._running[lane]
            _fail([*group, *self._waiting[lane]], StoreUnavailableError("The store is closed."))
            self._waiting[lane].clear()

    def _next_group(self, waiting: deque[_Unit]) -> list[_Unit]:
        """By key and rank, else in the order of arrival. Whoever was cancelled before it began is left out."""
        units = [waiting.popleft() for _ in range(min(len(waiting), UNITS_A_COMMIT))]
        wanted = [unit for unit in units if not unit.future.done()]
        if units and not wanted:
            return self._next_group(waiting)
        return sorted(wanted, key=lambda unit: unit.place)

    async def _commit(self, group: list[_Unit]) -> None:
        """All in one transaction; if that fails, each in its own, unless the store is away for all of them."""
        try:
            results = await self._transact(partial(_run_all, group))
        except StoreUnavailableError as error:
            _fail(group, error)
        except Exception as error:
            if len(group) == 1:
                _fail(group, error)
                return
            for unit in group:
                if not unit.future.done():
                    await self._commit([unit])
        else:
            self._committed(len(group))
            for unit, result in zip(group, results, strict=True):
                if not unit.future.done():
                    unit.future.set_result(result)


def _run_all(group: list[_Unit], transaction: Transaction) -> list[Any]:
    return [unit.work(transaction) for unit in group]


def _fail(units: list[_Unit], error: Exception) -> None:
    for unit in units:
        if not unit.future.done():
            unit.future.set_exception(error)
