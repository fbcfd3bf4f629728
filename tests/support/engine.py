"""The whole service without its HTTP front, on either stack and a simulated Google, for the flows."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from sqlalchemy import RowMapping, select

from app.api.schemas import ReviewFetchRequest, TokenReplacement
from app.clock import Clock
from app.config import Settings
from app.config.groups import RateLimitConfig, RetryConfig
from app.google.client import GoogleAPIClient
from app.google.endpoints import Endpoints
from app.google.errors import GoogleAPIError
from app.limits.permits import Api
from app.models.access import DEFAULT_TENANT
from app.models.job import ENDED, HeldTask, JobStatus
from app.models.settlement import Settled, Settlement
from app.models.views import RedriveRequest, RedriveResult
from app.pipeline.tools import Observer
from app.simulator import Faults, Simulator
from app.simulator.faults import AnyRule
from app.state import AppState
from app.store.database import Transaction
from app.store.schema import dead_letters, jobs, locations, outbox, reviews, tasks
from app.wiring import initialize_components, shutdown_background_tasks, start_background_tasks
from tests.support.canaries import CANARIES
from tests.support.stack import Stack

PATIENCE_SECONDS = 60.0
"""What is waited for takes at most a few seconds; this only ends a flow that hangs."""

LOOK_SECONDS = 0.05
METRICS_SECONDS = 1.0

SMALLEST_REVIEW_BYTES = 10_000
"""Fits the topics of every flow, also of one that allows only small reviews."""

Row = dict[str, Any]

TOKEN = "ya29.token-for-tests"

UNLIMITED = RateLimitConfig(token_bucket_capacity=0, per_minute=0)
QUICK_RETRIES = RetryConfig(initial_backoff_ms=1, max_backoff_ms=20)
PATIENT = RetryConfig(initial_backoff_ms=1, max_backoff_ms=20, max_retries=30)
"""For a Google that fails more often in a row than a job usually outlives."""


@dataclass(slots=True)
class Changes:
    """Rings whenever a worker has settled something: what it wrote can be read by then."""

    observer: Observer
    settlements: int = 0
    waiters: list[asyncio.Event] = field(default_factory=list)

    def called(self, task: HeldTask, api: Api, error: GoogleAPIError | None, seconds: float) -> None:
        self.observer.called(task, api, error, seconds)

    def settled(self, settlement: Settlement, settled: Settled, seconds: float) -> None:
        self.observer.settled(settlement, settled, seconds)
        self.settlements += 1
        for waiter in self.waiters:
            waiter.set()

    def rings(self) -> asyncio.Event:
        event = asyncio.Event()
        self.waiters.append(event)
        return event


class Engine:
    """One running service. Everything it shows is read from its store."""

    def __init__(self, state: AppState) -> None:
        self.state = state
        workers = (state.account_worker, state.location_worker, state.review_worker)
        self.changes = Changes(workers[0].tools.observer)
        for worker in workers:
            worker.tools = replace(worker.tools, observer=self.changes)

    async def submit(self, token: str = TOKEN, tenant: str = DEFAULT_TENANT, grant: str = "") -> str:
        """The id of a job that was accepted with this access token (empty: none) and refresh token (empty: none)."""
        request = ReviewFetchRequest.model_validate(_credentials(token, grant))
        return (await self.state.services.api_service.create_fetch_job(request, tenant)).job_id

    async def replace_token(self, job_id: str, token: str, grant: str = "") -> None:
        new = TokenReplacement.model_validate(_credentials(token, grant))
        await self.state.services.api_service.replace_token(new, DEFAULT_TENANT, job_id)

    async def redrive_all(self) -> RedriveResult:
        return await self.state.services.dead_letters.redrive(DEFAULT_TENANT, RedriveRequest(all=True))

    async def job(self, job_id: str) -> Row:
        return (await self.rows(jobs, jobs.c.id == job_id))[0]

    async def locations(self, job_id: str) -> list[Row]:
        return await self.rows(locations, locations.c.job_id == job_id)

    async def tasks(self, job_id: str) -> list[Row]:
        return await self.rows(tasks, tasks.c.job_id == job_id)

    async def dead_letters(self, job_id: str) -> list[Row]:
        return await self.rows(dead_letters, dead_letters.c.job_id == job_id)

    async def reviews(self, job_id: str) -> list[tuple[str, str]]:
        """(location, review id) of each row of the job, in order; a review that is stored twice is in it twice."""

        def read(transaction: Transaction) -> list[tuple[str, str]]:
            statement = select(locations.c.location, reviews.c.review_id).join(
                locations, locations.c.no == reviews.c.location_no
            )
            rows = transaction.connection.execute(statement.where(locations.c.job_id == job_id))
            return sorted((row[0], row[1]) for row in rows)

        return await self.state.database.read(read)

    async def review_rows(self, job_id: str) -> list[Row]:
        of_job = select(locations.c.no).where(locations.c.job_id == job_id)
        return await self.rows(reviews, reviews.c.location_no.in_(of_job))

    async def rows(self, table: Any, where: Any) -> list[Row]:
        def read(transaction: Transaction) -> list[RowMapping]:
            return list(transaction.connection.execute(select(table).where(where)).mappings())

        return [dict(row) for row in await self.state.database.read(read)]

    async def until(self, job_id: str, holds: Callable[[Row], bool]) -> Row:
        """The job as soon as this holds for its row, looked at after each settlement."""
        changed = self.changes.rings()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                changed.clear()
                job = await self.job(job_id)
                if holds(job):
                    self.changes.waiters.remove(changed)
                    return job
                await changed.wait()

    async def settled_more(self, settlements: int) -> None:
        """Until so many settlements were written or dropped since the start."""
        changed = self.changes.rings()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.changes.settlements < settlements:
                changed.clear()
                await changed.wait()
        self.changes.waiters.remove(changed)

    async def job_ended(self, job_id: str) -> Row:
        return await self.until(job_id, lambda job: job["status"] in ENDED)

    async def job_is(self, job_id: str, status: JobStatus) -> Row:
        return await self.until(job_id, lambda job: job["status"] == status)

    async def fetch(self, token: str = TOKEN) -> Row:
        """Submit a job and wait for its end."""
        return await self.job_ended(await self.submit(token))


def _credentials(token: str, grant: str) -> dict[str, str]:
    given = {"access_token": token} if token else {}
    if grant:
        given |= {"refresh_token": grant, "client_id": "client-for-tests", "client_secret": "GOCSPX-for-tests"}
    return given


@asynccontextmanager
async def running_engine(
    stack: Stack, url: str, *, deadline: float | None = None, clock: Clock | None = None, **settings: Any
) -> AsyncIterator[Engine]:
    """A service on the stack that asks the Google at `url`; stopped in good order.

    Without other `settings` it has no limits and retries at once. `deadline`: seconds of a call.
    """
    values: dict[str, Any] = {
        "environment": "test",
        "google_api_base_url": url,
        "rate_limit": UNLIMITED,
        "retry": QUICK_RETRIES,
        "worker_concurrency": 8,
    }
    state = await initialize_components(Settings(**(values | stack.settings | settings)), clock)
    engine = Engine(state)
    impatient = None if deadline is None else GoogleAPIClient(Endpoints.at(url), deadline=deadline)
    try:
        if impatient is not None:
            await impatient.start()
            state.account_worker.google = state.location_worker.google = state.review_worker.google = impatient
        await start_background_tasks(state)
        yield engine
    finally:
        await _sweep_metrics(state)
        await shutdown_background_tasks(state)
        if impatient is not None:
            await impatient.close()


async def _sweep_metrics(state: AppState) -> None:
    if CANARIES.active:
        with suppress(TimeoutError):  # the store is away: the flow is about that
            async with asyncio.timeout(METRICS_SECONDS):
                CANARIES.search("metrics", [await state.metrics.scrape()])


async def publish_the_rest(stack: Stack) -> None:
    """What the flow's services had stored and not published when they stopped, as the next one would."""
    async with running_engine(
        stack, "http://127.0.0.1:9", roles=("publisher",), max_review_bytes=SMALLEST_REVIEW_BYTES
    ) as engine:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await engine.rows(outbox, outbox.c.id > 0):
                await engine.state.clock.sleep(LOOK_SECONDS)


def truth(simulator: Simulator, token: str = "") -> list[tuple[str, str]]:
    """Every (location, review id) that exists upstream now, in order."""
    known = simulator.truth(token)
    names = [str(item["name"]) for item in known.locations(0, 1_000_000)]
    return sorted((name, review_id) for name in names for review_id in known.review_ids(name))


SPOILED = ("cut", "invalid_json", "empty_body", "hang")
"""What the ledger calls answers of status 200 that brought no page."""


def pages_read(simulator: Simulator, api: str = "reviews") -> Iterator[tuple[str, str]]:
    """(path, page token) of each call that brought a page."""
    for call in simulator.ledger.entries():
        if call["api"] == api and call["status"] == 200 and call["outcome"] not in SPOILED:
            yield call["path"], call["page_token"]


def worse(faults: Faults, *rules: AnyRule) -> Faults:
    """These rules before those that are in force anyway."""
    return msgspec.structs.replace(faults, rules=(*rules, *faults.rules))
