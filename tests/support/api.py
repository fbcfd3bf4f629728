"""The API over a real SQLite store, with a committer and without a pipeline; called in this process."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

from sqlalchemy import func, select

from app.api.application import Api, create_api
from app.api.authenticator import Authenticator, StaticKey
from app.api.key_desk import KeyDesk
from app.api.schemas import Readiness
from app.api.service import APIService, GrantCheck, TokenCheck
from app.api.services import ApiServices, set_services
from app.api.surface import Surface
from app.clock import Clock, SystemClock
from app.config import Settings
from app.config.shown import shown
from app.credentials import KEY_BYTES, SealingKey, TokenSealer
from app.ingest.buffer import BoundedDequeBuffer
from app.ingest.committer import Arrival, Committer
from app.limits.views import BudgetView, ShareView, WindowView
from app.models.access import DEFAULT_TENANT, Scope
from app.models.limits import NO_LIMITS, SubmitLimits
from app.pipeline.control import JobControl
from app.results.audit import AuditLog
from app.results.dead_letters import DeadLetters
from app.results.erasures import Erasures
from app.results.events import JobEvents
from app.results.export import Export
from app.results.overview import Overviews
from app.results.progress import Progress
from app.results.tenants import Tenants
from app.store.database import Database, Transaction
from app.store.keys import create_key
from app.store.schema import jobs
from app.webhooks.desk import Webhooks
from app.webhooks.signing import WebhookSigner
from tests.support.asgi import AsgiClient

TOKEN = "ya29.a-token-that-nobody-may-read"

SEALING_KEY = SealingKey("key-1", b"k" * KEY_BYTES)
SEALING_KEYS = f"key-1:{b64encode(b'k' * KEY_BYTES).decode()}"
"""The same as a setting."""

SEALER = TokenSealer([SEALING_KEY])


@dataclass
class ServedApi:
    """The application, what is behind it, and a client that calls as a program of this machine."""

    app: Api
    client: AsgiClient
    database: Database
    buffer: BoundedDequeBuffer[Arrival]
    committer: Committer
    services: ApiServices

    async def key(self, *scopes: Scope, tenant: str = DEFAULT_TENANT) -> str:
        _, secret = await self.database.write(create_key, tenant, "test", scopes)
        return secret

    async def submit(self, callback_url: str | None = None, **headers: str) -> str:
        """Submit a job and return its id."""
        body = {"access_token": TOKEN} | ({"callback_url": callback_url} if callback_url else {})
        answer = await self.client.post("/api/v1/review-fetch", body, **headers)
        assert answer.status == 202, answer.text
        job_id: str = answer.json()["job_id"]
        return job_id

    async def count_jobs(self) -> int:
        return await self.database.read(_count_jobs)


@asynccontextmanager
async def served_api(
    database: Database,
    *,
    static_keys: Sequence[StaticKey] = (),
    open_on_loopback: bool = True,
    buffer_size: int = 10_000,
    clock: Clock | None = None,
    committing: bool = True,
    check_token: TokenCheck | None = None,
    check_grant: GrantCheck | None = None,
    readiness: Readiness | None = None,
    limits: SubmitLimits = NO_LIMITS,
    surface: Surface | None = None,
) -> AsyncIterator[ServedApi]:
    """`committing=False` leaves jobs in the buffer, as a store would that takes very long."""
    buffer = BoundedDequeBuffer[Arrival](buffer_size)
    committer = Committer(buffer, database, committed=_nobody, limits=limits)
    control = JobControl(database, _nobody)
    progress = Progress(database)
    services = ApiServices(
        api_service=APIService(buffer, committer, SEALER, control, check_token=check_token, check_grant=check_grant),
        authenticator=Authenticator(database, static_keys=static_keys, open_on_loopback=open_on_loopback, clock=clock),
        keys=KeyDesk(database),
        progress=progress,
        events=JobEvents(progress, clock or SystemClock()),
        overviews=Overviews(database, publishes=True),
        tenants=Tenants(database, limits),
        export=Export(database),
        dead_letters=DeadLetters(database, _nobody),
        erasures=Erasures(database),
        job_control=control,
        webhooks=Webhooks(database, WebhookSigner([SEALING_KEY])),
        audit=AuditLog(database, clock or SystemClock()),
        quota=_quota,
        settings=shown(Settings(_env_file=None)),  # type: ignore[call-arg] # pydantic-settings' own argument
        readiness=partial(_told, readiness or Readiness(ready=True, checks={"store": "ok"})),
        metrics_text=_metrics,
    )
    app = create_api(version="1.2.3", surface=surface)
    set_services(app, services)
    loop = asyncio.create_task(committer.run()) if committing else None
    yield ServedApi(app, AsgiClient(app), database, buffer, committer, services)
    if loop is not None:
        loop.cancel()
        with suppress(asyncio.CancelledError):
            await loop


async def _told(readiness: Readiness) -> Readiness:
    return readiness


CLOSED_UNTIL = 1_700_000_060.0
"""2023-11-14T22:14:20Z."""


async def _quota(_tenant: str) -> list[BudgetView]:
    window = WindowView("minute", 300.0, 120.0, 180.0, 1_700_000_051.5)
    share = ShareView("replica-1", 20, 1_700_000_002.0)
    return [BudgetView("123456", "reviews", (window,), (share,), CLOSED_UNTIL, CLOSED_UNTIL, "Google answered 429")]


async def _metrics() -> bytes:
    return b"# HELP jobs Jobs by state\n"


def _nobody() -> None:
    """Nobody waits to be woken."""


def _count_jobs(transaction: Transaction) -> int:
    return int(transaction.connection.execute(select(func.count()).select_from(jobs)).scalar_one())
