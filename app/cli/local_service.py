"""The store of DATABASE_URL, beside a service that may be running on it: the same rooms as behind the HTTP API.

A change is one short transaction: on SQLite it takes its turn with the service's own and leaves checkpoints to it. The
service sees it at its next look at the store, within 3 seconds.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from app.api.schemas import ReviewFetchRequest, ReviewFetchResponse, TokenReplacement
from app.api.service import APIService
from app.cli.backend import FeedLines
from app.cli.local import existing_store, user_of_this_machine
from app.cli.requests import plain
from app.cli.sealing import service_sealer
from app.clock import Clock, SystemClock
from app.config import Settings, get_settings
from app.ingest.buffer import BoundedDequeBuffer
from app.ingest.committer import Arrival, Committer
from app.limits.permits import Api
from app.limits.rules import Limits
from app.limits.views import BudgetView, views
from app.models.audit import Action, AuditEntry
from app.models.audit_views import AuditFilter, AuditPage
from app.models.erasure import ErasureList, ErasureRequest, ErasureResult, ErasureView
from app.models.job import JobStatus
from app.models.locations import LocationFilter, Reconciliation
from app.models.overview import AccountList, Overview
from app.models.quota import QuotaReport
from app.models.review_filter import ReviewFilter
from app.models.views import (
    CauseList,
    DeadLetterFilter,
    DeadLetterHistory,
    DeadLetterList,
    JobList,
    JobView,
    LocationList,
    RedriveRequest,
    RedriveResult,
)
from app.models.webhooks import WebhookList, WebhookView
from app.pipeline.control import JobControl
from app.results.audit import AuditLog
from app.results.dead_letters import DeadLetters
from app.results.erasures import Erasures
from app.results.events import JobEvents
from app.results.export import Export
from app.results.forecasts import Forecasts
from app.results.overview import Overviews
from app.results.progress import Progress
from app.store.audit import audited
from app.store.budgets import read_budgets
from app.store.database import Database
from app.store.webhooks import list_webhooks, resend
from app.telemetry.logging import configure_logging
from app.wiring.values import limits_of


class LocalService:
    """One tenant's jobs in an open store."""

    def __init__(self, database: Database, settings: Settings, tenant: str) -> None:
        self._database = database
        self._settings = settings
        self._tenant = tenant
        self._user = user_of_this_machine()
        clock = SystemClock()
        limits = limits_of(settings)
        self._budgets = partial(_budgets, database, limits, clock)
        self._progress = Progress(database, Forecasts(database, limits[Api.REVIEWS], self._budgets, clock))
        self._events = JobEvents(self._progress, clock)
        self._export = Export(database)
        self._audit = AuditLog(database, clock)
        self._erasures = Erasures(database)
        self._letters = DeadLetters(database, _nobody, settings.dlq_max_redrives)
        self._overviews = Overviews(database, publishes=not settings.mock_kafka)
        self._control = JobControl(database, _nobody, token_wait=settings.token_wait_sec)

    async def submit(self, request: ReviewFetchRequest, idempotency_key: str | None) -> ReviewFetchResponse:
        body = json.dumps(plain(request)).encode()
        async with self._taking_in() as api:
            return await api.create_fetch_job(
                request, self._tenant, idempotency_key=idempotency_key, body=body, by=self._user
            )

    async def jobs(self, status: JobStatus | None, limit: int, cursor: str | None) -> JobList:
        return await self._progress.jobs(self._tenant, status, limit, cursor)

    async def job(self, job_id: str) -> JobView:
        return await self._progress.job(self._tenant, job_id)

    async def events(self, job_id: str, last_event_id: str | None) -> AsyncGenerator[bytes]:
        stream = await self._events.follow(self._tenant, job_id, last_event_id)
        if stream is not None:
            async for chunk in stream:
                yield chunk

    async def accounts(self, job_id: str, limit: int, cursor: str | None) -> AccountList:
        return await self._progress.accounts(self._tenant, job_id, limit, cursor)

    async def locations(self, job_id: str, wanted: LocationFilter, limit: int, cursor: str | None) -> LocationList:
        return await self._progress.locations(self._tenant, job_id, limit, cursor, wanted)

    async def reconciliation(self, job_id: str) -> Reconciliation:
        return await self._progress.reconciliation(self._tenant, job_id)

    async def cancel(self, job_id: str) -> JobView:
        return await self._control.cancel(self._tenant, job_id, self._user)

    async def pause(self, job_id: str) -> JobView:
        return await self._control.pause(self._tenant, job_id, self._user)

    async def resume(self, job_id: str) -> JobView:
        return await self._control.resume(self._tenant, job_id, self._user)

    async def replace_token(self, job_id: str, replacement: TokenReplacement) -> JobView:
        async with self._taking_in() as api:
            return await api.replace_token(replacement, self._tenant, job_id, self._user)

    async def reviews(self, job_id: str, form: str, wanted: ReviewFilter) -> AsyncGenerator[bytes]:
        export = self._export
        chunks = {"ndjson": export.ndjson, "csv": export.csv, "parquet": export.parquet}[form]
        async for chunk in await chunks(self._tenant, job_id, wanted, self._user):
            yield chunk

    async def feed(self, after: str | None, limit: int) -> FeedLines:
        return msgspec.json.decode(await self._export.feed(self._tenant, after, limit), type=FeedLines)

    async def dead_letters(
        self, which: DeadLetterFilter | None, limit: int, cursor: str | None, *, parked: bool | None
    ) -> DeadLetterList:
        return await self._letters.page(self._tenant, which, limit, cursor, parked=parked)

    async def dead_letter(self, letter_id: int) -> DeadLetterHistory:
        return await self._letters.one(self._tenant, letter_id)

    async def causes(self, job_id: str | None) -> CauseList:
        return await self._letters.causes(self._tenant, job_id)

    async def redrive(self, request: RedriveRequest) -> RedriveResult:
        return await self._letters.redrive(self._tenant, request, self._user)

    async def webhooks(self, job_id: str) -> WebhookList:
        return await self._database.read(list_webhooks, self._tenant, job_id)

    async def resend(self, job_id: str, webhook_id: int) -> WebhookView:
        entry = AuditEntry(self._tenant, Action.WEBHOOK_RESEND, job_id, self._user, {"webhook": webhook_id})
        return await self._database.write(audited(resend, entry), self._tenant, job_id, webhook_id)

    async def audit(self, wanted: AuditFilter, limit: int, after: str | None) -> AuditPage:
        return await self._audit.page(self._tenant or None, wanted, limit, after)

    async def erase_job(self, job_id: str) -> ErasureResult:
        return await self._erasures.of_job(self._tenant, job_id, self._user)

    async def erase_reviewer(self, request: ErasureRequest) -> ErasureResult:
        return await self._erasures.of_reviewer(self._tenant, request, self._user)

    async def erasures(self, limit: int, cursor: str | None) -> ErasureList:
        return await self._erasures.page(self._tenant, limit, cursor)

    async def erasure(self, erasure_id: int) -> ErasureView:
        return await self._erasures.one(self._tenant, erasure_id)

    async def overview(self) -> Overview:
        return await self._overviews.of(self._tenant)

    async def quota(self) -> QuotaReport:
        return QuotaReport.model_validate({"budgets": await self._budgets()})

    @asynccontextmanager
    async def _taking_in(self) -> AsyncIterator[APIService]:
        """What a service does with a token, for one request. Google is not asked about it."""
        buffer: BoundedDequeBuffer[Arrival] = BoundedDequeBuffer(max_size=1)
        committer = Committer(buffer, self._database, committed=_nobody)
        api = APIService(buffer, committer, service_sealer(self._settings), self._control)
        loop = asyncio.create_task(committer.run())
        try:
            yield api
        finally:
            await committer.stop()
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)


@asynccontextmanager
async def local_service(tenant: str) -> AsyncIterator[LocalService]:
    """Over the store as it is; raises what `existing_store` raises."""
    configure_logging(level="ERROR", json=False)  # what was done is what the command shows
    async with existing_store() as database:
        yield LocalService(database, get_settings(), tenant)


async def _budgets(database: Database, limits: Mapping[str, Limits], clock: Clock) -> Sequence[BudgetView]:
    now, rows = await database.read(read_budgets)
    return views(rows, limits, now, clock.now())


def _nobody() -> None:
    """There is no scheduler in this process to be woken."""
