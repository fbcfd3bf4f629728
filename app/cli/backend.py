"""What the commands work with: a running service over HTTP, or the store beside it. They decide nothing themselves.

Both adapters (`remote.Service`, `local_service.LocalService`) are held to one contract suite. A refusal is a
`CommandError` or an error that `exits.EXPECTED` names, with the same sentence from both.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from app.cli.exits import UsageError
from app.models.access import DEFAULT_TENANT

if TYPE_CHECKING:
    from app.api.schemas import ReviewFetchRequest, ReviewFetchResponse, TokenReplacement
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

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Where:
    """`server` None: the local store of DATABASE_URL, as `tenant`. With a server the API key says whose jobs."""

    server: str | None = None
    api_key: str | None = field(default=None, repr=False)
    tenant: str = DEFAULT_TENANT

    def __post_init__(self) -> None:
        if self.server and self.tenant != DEFAULT_TENANT:
            raise UsageError("--tenant is for the local store: with --server the API key says whose jobs they are")


class FeedLines(msgspec.Struct, frozen=True):
    """A page of the feed: reviews as JSON, one line each and unread, and where to go on."""

    reviews: list[msgspec.Raw]
    next_cursor: str
    more: bool


class Backend(Protocol):
    """What can be asked and done. Shapes and refusals are those of the HTTP API."""

    async def submit(self, request: "ReviewFetchRequest", idempotency_key: str | None) -> "ReviewFetchResponse":
        """A new job. With an idempotency key seen before, the same answer as then."""
        ...

    async def jobs(self, status: "JobStatus | None", limit: int, cursor: str | None) -> "JobList":
        """Newest first; `status` None: of every state."""
        ...

    async def job(self, job_id: str) -> "JobView":
        """A job as it stands."""
        ...

    def events(self, job_id: str, last_event_id: str | None) -> AsyncGenerator[bytes]:
        """What happens to it, as server-sent events behind the one with this id; it ends when the job has ended.

        Raises AwayError when the connection breaks.
        """
        ...

    async def accounts(self, job_id: str, limit: int, cursor: str | None) -> "AccountList":
        """Its accounts by name."""
        ...

    async def locations(self, job_id: str, wanted: "LocationFilter", limit: int, cursor: str | None) -> "LocationList":
        """Its wanted locations by name."""
        ...

    async def reconciliation(self, job_id: str) -> "Reconciliation":
        """What it fetched against what Google counts."""
        ...

    async def cancel(self, job_id: str) -> "JobView":
        """End it; what it has fetched stays."""
        ...

    async def pause(self, job_id: str) -> "JobView":
        """Hold it until it is resumed."""
        ...

    async def resume(self, job_id: str) -> "JobView":
        """Let it go on where it was paused."""
        ...

    async def replace_token(self, job_id: str, replacement: "TokenReplacement") -> "JobView":
        """Give it a new token; one that waits for it goes on."""
        ...

    def reviews(self, job_id: str, form: str, wanted: "ReviewFilter") -> AsyncGenerator[bytes]:
        """Its wanted reviews as ndjson, csv or parquet, as they are read. Cut off, it raises before its end."""
        ...

    async def feed(self, after: str | None, limit: int) -> FeedLines:
        """Reviews of all jobs in the order in which they were stored, behind the cursor `after`."""
        ...

    async def dead_letters(
        self, which: "DeadLetterFilter | None", limit: int, cursor: str | None, *, parked: bool | None
    ) -> "DeadLetterList":
        """Newest first; `which` None: of every cause, job and stage."""
        ...

    async def dead_letter(self, letter_id: int) -> "DeadLetterHistory":
        """One, and how the same work was given up before."""
        ...

    async def causes(self, job_id: str | None) -> "CauseList":
        """How many there are of each cause, of all jobs or of one."""
        ...

    async def redrive(self, request: "RedriveRequest") -> "RedriveResult":
        """Try again what the request names."""
        ...

    async def webhooks(self, job_id: str) -> "WebhookList":
        """The messages to its callback, newest first."""
        ...

    async def resend(self, job_id: str, webhook_id: int) -> "WebhookView":
        """Send one of them once more."""
        ...

    async def erase_job(self, job_id: str) -> "ErasureResult":
        """Erase a job that has ended, with all it has fetched."""
        ...

    async def erase_reviewer(self, request: "ErasureRequest") -> "ErasureResult":
        """Erase what the request names, or count it."""
        ...

    async def erasures(self, limit: int, cursor: str | None) -> "ErasureList":
        """Orders to erase, newest first."""
        ...

    async def erasure(self, erasure_id: int) -> "ErasureView":
        """One of them as it stands."""
        ...

    async def audit(self, wanted: "AuditFilter", limit: int, after: str | None) -> "AuditPage":
        """What was done, in its order; of a store the entries of all tenants unless one was named."""
        ...

    async def overview(self) -> "Overview":
        """All work at a glance."""
        ...

    async def quota(self) -> "QuotaReport":
        """What is left of Google's quota."""
        ...


@asynccontextmanager
async def opened(where: Where) -> AsyncIterator[Backend]:
    """The service, or the store as it is."""
    if where.server:
        from app.cli.remote import Service  # noqa: PLC0415 - aiohttp is slow to import

        async with Service(where.server, where.api_key) as service:
            yield service
    else:
        from app.cli.local_service import local_service  # noqa: PLC0415 - SQLAlchemy is slow to import

        async with local_service(where.tenant) as store:
            yield store


def ask(where: Where, question: Callable[[Backend], Awaitable[T]]) -> T:
    """The answer to one question, for a command that is not asynchronous itself."""

    async def asked() -> T:
        async with opened(where) as backend:
            return await question(backend)

    return asyncio.run(asked())
