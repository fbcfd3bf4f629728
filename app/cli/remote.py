"""A running service, asked over HTTP as any client would."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from pydantic import BaseModel, ValidationError
from yarl import URL

from app.api.schemas import ReviewFetchRequest, ReviewFetchResponse, TokenReplacement
from app.cli.backend import FeedLines
from app.cli.exits import AwayError, CommandError, UsageError
from app.cli.given import visible
from app.cli.requests import plain
from app.models.audit_views import AuditFilter, AuditPage
from app.models.erasure import ErasureList, ErasureRequest, ErasureResult, ErasureView
from app.models.job import JobStatus
from app.models.keys import KeyCreation, KeyList, KeyRotation, KeyView, NewKey
from app.models.locations import LocationFilter, Reconciliation
from app.models.overview import AccountList, Overview, SettingList
from app.models.quota import QuotaReport
from app.models.review_filter import ReviewFilter
from app.models.tenants import TenantView
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
from app.telemetry.redaction import clean_text

JOBS = "/api/v1/review-fetch"
LETTERS = "/api/v1/dlq"
ERASURES = "/api/v1/erasures"
FEED = "/api/v1/reviews/feed"
OVERVIEW = "/api/v1/overview"
TENANT = "/api/v1/tenant"
QUOTA = "/api/v1/quota"
AUDIT = "/api/v1/audit"
SETTINGS = "/api/v1/settings"
KEYS = "/api/v1/keys"
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)

EVENTS = "text/event-stream"
EVENT_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=45)
"""Three heartbeats of the service."""

MEDIA_TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv", "parquet": "application/vnd.apache.parquet"}

LATER = (429, 502, 503, 504)
"""What a service, or a proxy before it, answers when the same may work in a while."""

NOT_OURS = "the answer is not one of this service: check the URL"

Model = TypeVar("Model", bound=BaseModel)


class Service:
    """`async with Service("http://127.0.0.1:8000", "rf_…") as service`. Every failure is a CommandError."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self._url = url.rstrip("/")
        headers = {"X-API-Key": visible("--api-key", api_key)} if api_key else {}
        self._session = aiohttp.ClientSession(headers=headers, timeout=TIMEOUT, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def submit(self, request: ReviewFetchRequest, idempotency_key: str | None) -> ReviewFetchResponse:
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return await self._ask(ReviewFetchResponse, "POST", JOBS, json=plain(request), headers=headers)

    async def jobs(self, status: JobStatus | None, limit: int, cursor: str | None) -> JobList:
        return await self._ask(JobList, "GET", JOBS, query={"status": status, "limit": limit, "cursor": cursor})

    async def job(self, job_id: str) -> JobView:
        return await self._ask(JobView, "GET", _job(job_id))

    async def events(self, job_id: str, last_event_id: str | None) -> AsyncGenerator[bytes]:
        headers = {"Accept": EVENTS} | ({} if last_event_id is None else {"Last-Event-ID": last_event_id})
        async with self._answer("GET", f"{_job(job_id)}/events", headers=headers, timeout=EVENT_TIMEOUT) as answer:
            if answer.status != 204 and answer.content_type != EVENTS:
                raise CommandError(f"{self._url}: {NOT_OURS}")
            async for chunk in answer.content.iter_any():
                yield chunk

    async def accounts(self, job_id: str, limit: int, cursor: str | None) -> AccountList:
        query = {"limit": limit, "cursor": cursor}
        return await self._ask(AccountList, "GET", f"{_job(job_id)}/accounts", query=query)

    async def locations(self, job_id: str, wanted: LocationFilter, limit: int, cursor: str | None) -> LocationList:
        gaps = "true" if wanted.gaps else None
        query = {"account": wanted.account, "state": wanted.state, "gaps": gaps, "limit": limit, "cursor": cursor}
        return await self._ask(LocationList, "GET", f"{_job(job_id)}/locations", query=query)

    async def reconciliation(self, job_id: str) -> Reconciliation:
        return await self._ask(Reconciliation, "GET", f"{_job(job_id)}/reconciliation")

    async def cancel(self, job_id: str) -> JobView:
        return await self._ask(JobView, "POST", f"{_job(job_id)}/cancel")

    async def pause(self, job_id: str) -> JobView:
        return await self._ask(JobView, "POST", f"{_job(job_id)}/pause")

    async def resume(self, job_id: str) -> JobView:
        return await self._ask(JobView, "POST", f"{_job(job_id)}/resume")

    async def replace_token(self, job_id: str, replacement: TokenReplacement) -> JobView:
        return await self._ask(JobView, "PUT", f"{_job(job_id)}/token", json=plain(replacement))

    async def reviews(self, job_id: str, form: str, wanted: ReviewFilter) -> AsyncGenerator[bytes]:
        query = [("format", form), *wanted.parameters()]
        async with self._answer("GET", f"{_job(job_id)}/reviews", query=query) as answer:
            if answer.content_type != MEDIA_TYPES[form]:
                raise CommandError(f"{self._url}: {NOT_OURS}")
            if answer.content_length is None and answer.headers.get("Transfer-Encoding") is None:
                raise CommandError(f"{self._url} does not say where its answer ends, so nobody could tell a part of it")
            async for chunk in answer.content.iter_any():
                yield chunk

    async def feed(self, after: str | None, limit: int) -> FeedLines:
        async with self._answer("GET", FEED, query={"after": after, "limit": limit}) as answer:
            return msgspec.json.decode(await answer.read(), type=FeedLines)

    async def dead_letters(
        self, which: DeadLetterFilter | None, limit: int, cursor: str | None, *, parked: bool | None
    ) -> DeadLetterList:
        query = (which.model_dump() if which else {}) | {"parked": parked, "limit": limit, "cursor": cursor}
        return await self._ask(DeadLetterList, "GET", LETTERS, query=query)

    async def dead_letter(self, letter_id: int) -> DeadLetterHistory:
        return await self._ask(DeadLetterHistory, "GET", f"{LETTERS}/{letter_id}")

    async def causes(self, job_id: str | None) -> CauseList:
        return await self._ask(CauseList, "GET", f"{LETTERS}/causes", query={"job_id": job_id})

    async def redrive(self, request: RedriveRequest) -> RedriveResult:
        body = request.model_dump(mode="json", exclude_none=True)
        return await self._ask(RedriveResult, "POST", f"{LETTERS}/redrive", json=body)

    async def webhooks(self, job_id: str) -> WebhookList:
        return await self._ask(WebhookList, "GET", f"{_job(job_id)}/webhooks")

    async def resend(self, job_id: str, webhook_id: int) -> WebhookView:
        return await self._ask(WebhookView, "POST", f"{_job(job_id)}/webhooks/{webhook_id}/resend")

    async def erase_job(self, job_id: str) -> ErasureResult:
        return await self._ask(ErasureResult, "DELETE", _job(job_id))

    async def erase_reviewer(self, request: ErasureRequest) -> ErasureResult:
        return await self._ask(ErasureResult, "POST", ERASURES, json=request.model_dump(exclude_none=True))

    async def erasures(self, limit: int, cursor: str | None) -> ErasureList:
        return await self._ask(ErasureList, "GET", ERASURES, query={"limit": limit, "cursor": cursor})

    async def erasure(self, erasure_id: int) -> ErasureView:
        return await self._ask(ErasureView, "GET", f"{ERASURES}/{erasure_id}")

    async def audit(self, wanted: AuditFilter, limit: int, after: str | None) -> AuditPage:
        return await self._ask(AuditPage, "GET", AUDIT, query=wanted.parameters() | {"limit": limit, "after": after})

    async def overview(self) -> Overview:
        return await self._ask(Overview, "GET", OVERVIEW)

    async def keys(self, limit: int, cursor: str | None) -> KeyList:
        """Of the tenant of the API key, as all that follow."""
        return await self._ask(KeyList, "GET", KEYS, query={"limit": limit, "cursor": cursor})

    async def create_key(self, wanted: KeyCreation) -> NewKey:
        return await self._ask(NewKey, "POST", KEYS, json=plain(wanted))

    async def rotate_key(self, key_id: str, wanted: KeyRotation) -> NewKey:
        return await self._ask(NewKey, "POST", f"{_key(key_id)}/rotate", json=plain(wanted))

    async def revoke_key(self, key_id: str) -> KeyView:
        return await self._ask(KeyView, "DELETE", _key(key_id))

    async def settings(self) -> SettingList:
        """Of the process that answers."""
        return await self._ask(SettingList, "GET", SETTINGS)

    async def tenant(self) -> TenantView:
        return await self._ask(TenantView, "GET", TENANT)

    async def quota(self) -> QuotaReport:
        return await self._ask(QuotaReport, "GET", QUOTA)

    async def _ask(self, model: type[Model], method: str, path: str, **request: Any) -> Model:
        async with self._answer(method, path, **request) as answer:
            return model.model_validate_json(await answer.read())

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | Sequence[tuple[str, object]] = (),
        **request: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A good answer; whatever goes wrong until it has been read is a CommandError."""
        named = query.items() if isinstance(query, Mapping) else query
        given = [(name, str(value)) for name, value in named if value is not None]
        try:
            url = URL(self._url + path, encoded=True)
            async with self._session.request(method, url, params=given, allow_redirects=False, **request) as answer:
                await _check(answer)
                yield answer
        except (ValidationError, msgspec.DecodeError) as error:
            raise CommandError(f"{self._url}: {NOT_OURS}") from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> CommandError:
        if isinstance(error, (aiohttp.InvalidURL, ValueError)):
            return UsageError(f"--server: {self._url} must look like http://127.0.0.1:8000")
        return AwayError(f"no usable answer from {self._url} ({type(error).__name__}): does the service run there?")


def _job(job_id: str) -> str:
    return f"{JOBS}/{quote(job_id, safe='')}"


def _key(key_id: str) -> str:
    return f"{KEYS}/{quote(key_id, safe='')}"


async def _check(answer: aiohttp.ClientResponse) -> None:
    """Raises CommandError with the words of the service's problem+json."""
    if answer.status < 300:
        return
    try:
        problem = await answer.json(content_type=None)
        fields = "".join(f" {item['field']}: {item['message']}." for item in problem.get("errors") or ())
        detail = clean_text(f"{problem['detail']}{fields}")
    except (ValueError, KeyError, TypeError, AttributeError):
        detail = NOT_OURS
    hint = " (set --api-key or REVIEW_FETCHER_API_KEY)" if answer.status == 401 else ""
    kind = AwayError if answer.status in LATER else CommandError
    raise kind(f"HTTP {answer.status}: {detail}{hint}")
