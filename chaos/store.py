"""What the database really holds, asked directly: none of the service's code is between."""

import asyncio
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Any, TypeVar

import asyncpg

from chaos.checks import Review, Sample

APPLICATION = "chaos"
"""The name of our own connections, which no disturbance ends."""

SECONDS = 10.0
SAMPLE_SECONDS = 0.2

AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)

T = TypeVar("T")


class Store:
    """One short connection for each question. Raises one of `AWAY` when the server does not answer."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def connect(self) -> Any:
        settings = {"application_name": APPLICATION}
        return await asyncpg.connect(self._url, timeout=SECONDS, command_timeout=SECONDS, server_settings=settings)

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        async def ask() -> list[tuple[Any, ...]]:
            connection = await self.connect()
            try:
                return [tuple(row) for row in await connection.fetch(statement, *values)]
            finally:
                connection.terminate()

        return asyncio.run(ask())

    def jobs(self) -> dict[str, str]:
        """Job id → status."""
        return {str(job): str(status) for job, status in self.rows("SELECT id, status FROM jobs")}

    def reviews(self, job_id: str) -> list[Review]:
        """The rows of a job, each as often as it is there."""
        found = self.rows(
            "SELECT place.location, review.review_id FROM locations AS place"
            " JOIN reviews AS review ON review.location_no = place.no WHERE place.job_id = $1",
            job_id,
        )
        return [(str(location), str(review_id)) for location, review_id in found]

    def counters_off(self) -> list[str]:
        """Ended jobs whose own counters do not say what the tables hold."""
        found = self.rows(
            "SELECT id FROM jobs WHERE status = 'completed' AND (tasks_open <> 0 OR tasks_dead <> 0"
            " OR tasks_done <> (SELECT count(*) FROM tasks WHERE job_id = jobs.id)"
            " OR reviews_fetched <> (SELECT count(*) FROM reviews JOIN locations AS place ON place.no = location_no"
            " WHERE place.job_id = jobs.id))"
        )
        return sorted(str(row[0]) for row in found)

    def held(self, pid: int | None = None) -> dict[int, int]:
        """Task id → version of the tasks that a process holds; without `pid`, that any does."""
        whose = "%" if pid is None else f"%-{pid}-%"
        statement = "SELECT id, version FROM tasks WHERE status = 'held' AND holder LIKE $1"
        return {int(task): int(version) for task, version in self.rows(statement, whose)}

    def still(self, tasks: dict[int, int]) -> int:
        """How many of these tasks have not moved on from their version."""
        found = self.rows("SELECT id, version FROM tasks WHERE id = ANY($1::bigint[])", list(tasks))
        return sum(tasks[int(task)] == int(version) for task, version in found)

    def leader(self, name: str) -> str | None:
        """Who leads now, by the database's clock."""
        statement = "SELECT holder FROM leaders WHERE name = $1 AND lease_until > extract(epoch FROM clock_timestamp())"
        found = self.rows(statement, name)
        return str(found[0][0]) if found else None

    def end_connections(self) -> int:
        """Terminate every other connection; returns how many there were."""
        (row,) = self.rows(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name <> $1",
            APPLICATION,
        )
        return int(row[0])

    def eventually(self, ask: Callable[["Store"], T], seconds: float = 60.0) -> T:
        """The answer, as soon as the server gives one."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return ask(self)
            except AWAY:
                if time.monotonic() > deadline:
                    raise
                time.sleep(SAMPLE_SECONDS)


class Timeline(Thread):
    """Asks five times a second how far the work has come. What a server that is away leaves out is a gap in it."""

    STATEMENT = (
        "SELECT coalesce(sum(pages_settled), 0)::bigint, coalesce(sum(reviews_fetched), 0)::bigint,"
        " count(*) FILTER (WHERE status IN ('pending', 'processing')) FROM jobs"
    )
    """The counters grow in the transaction of the rows; that they agree at the end is a check of its own."""

    def __init__(self, store: Store) -> None:
        super().__init__(name="timeline", daemon=True)
        self.samples: list[Sample] = []
        self._store = store
        self._ending = Event()

    @property
    def now(self) -> Sample:
        return self.samples[-1] if self.samples else Sample(0.0, 0, 0, 0)

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                asyncio.run(self._follow())
            except AWAY:
                self._ending.wait(SAMPLE_SECONDS)

    async def _follow(self) -> None:
        connection = await self._store.connect()
        try:
            while not self._ending.is_set():
                asked = time.monotonic()
                row = await connection.fetchrow(self.STATEMENT)
                self.samples.append(Sample(asked, *map(int, row)))
                await asyncio.sleep(SAMPLE_SECONDS)
        finally:
            connection.terminate()

    def end(self) -> None:
        self._ending.set()
        self.join(SECONDS)
