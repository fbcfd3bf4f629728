"""What the API does beyond reading: take a job in, take a new token for one, say how busy the service is."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple

from app.api.errors import IdempotencyKeyReusedError, TokenRefusedError
from app.api.schemas import (
    SHORTEST_TOKEN,
    HealthCheckResponse,
    ReviewFetchRequest,
    ReviewFetchResponse,
    TokenReplacement,
)
from app.credentials import Purpose, TokenSealer
from app.google.pages import FreshToken
from app.ingest.buffer import BoundedDequeBuffer
from app.ingest.committer import Arrival, Committer
from app.models.access import DEFAULT_TENANT
from app.models.audit import SYSTEM, Origin
from app.models.grant import RefreshGrant
from app.models.limits import LimitState
from app.models.views import JobView
from app.pipeline.control import JobControl
from app.store.submit import Callback, NewJob
from app.telemetry.tracing import current_traceparent

DEGRADED_PERCENT = 90.0

TokenCheck = Callable[[str], Awaitable[bool]]
"""Asks Google about a token. False only if Google refuses it; what cannot be asked just now counts as accepted."""

GrantCheck = Callable[[RefreshGrant], Awaitable[FreshToken | None]]
"""Asks Google for an access token. None only if Google refuses; an empty one when it cannot be asked just now."""


class Accepted(NamedTuple):
    """What a submission is answered, and the tenant's limits as they are by then."""

    answer: ReviewFetchResponse
    limits: Sequence[LimitState]


class APIService:
    """Behind the routes. Without the checks (VALIDATE_TOKEN_ON_SUBMIT=false) a submission never calls Google."""

    def __init__(
        self,
        deque_buffer: BoundedDequeBuffer[Arrival],
        committer: Committer,
        sealer: TokenSealer,
        job_control: JobControl,
        *,
        check_token: TokenCheck | None = None,
        check_grant: GrantCheck | None = None,
    ) -> None:
        self.deque_buffer = deque_buffer
        self._committer = committer
        self._sealer = sealer
        self._job_control = job_control
        self._check_token = check_token
        self._check_grant = check_grant

    async def validate_access_token(self, token: str) -> bool:
        """Whether the token is worth a job: long enough and, if that is switched on, not refused by Google."""
        if len(token.strip()) < SHORTEST_TOKEN:
            return False
        return self._check_token is None or await self._check_token(token)

    async def create_fetch_job(
        self,
        request: ReviewFetchRequest,
        tenant: str = DEFAULT_TENANT,
        *,
        idempotency_key: str | None = None,
        body: bytes = b"",
        by: Origin = SYSTEM,
    ) -> ReviewFetchResponse:
        """`submit`, for those who do not ask what is left of the tenant's limits."""
        return (await self.submit(request, tenant, idempotency_key=idempotency_key, body=body, by=by)).answer

    async def submit(
        self,
        request: ReviewFetchRequest,
        tenant: str,
        *,
        idempotency_key: str | None = None,
        body: bytes = b"",
        by: Origin = SYSTEM,
    ) -> Accepted:
        """Returns when the job is durable, and with it that `by` submitted it. With an idempotency key seen before, the
        same answer as then, and nothing is done.

        `body` is the request as it came: a key that comes back with another one raises `IdempotencyKeyReusedError`.
        Also raises `TokenRefusedError` and what `Committer.accept` raises.
        """
        answered = idempotency_key is not None and await self._is_answered(tenant, idempotency_key)
        token, grant = _as_given(request) if answered else await self._checked(request)
        job = self._new_job(request, token, grant, tenant=tenant, idempotency_key=idempotency_key, body=body, by=by)
        submitted = await self._committer.accept(job)
        if submitted.conflict:
            raise IdempotencyKeyReusedError
        path = f"/api/v1/review-fetch/{submitted.job_id}"
        answer = ReviewFetchResponse(job_id=submitted.job_id, message=f"The job is queued. Follow it at {path}.")
        return Accepted(answer, submitted.limits)

    async def replace_token(self, request: TokenReplacement, tenant: str, job_id: str, by: Origin = SYSTEM) -> JobView:
        """Give a job a new token, or a grant to ask for one by. Raises what the job control raises."""
        token = request.access_token.get_secret_value()
        key_id, sealed, sealed_grant = self._sealed(tenant, job_id, token, request.grant)
        resealed = partial(self._sealer.reseal, tenant, job_id, purpose=Purpose.GRANT)
        return await self._job_control.replace_token(
            tenant, job_id, key_id, sealed, sealed_grant, reseal_grant=resealed, by=by
        )

    async def get_health(self) -> HealthCheckResponse:
        """How full the buffer of waiting jobs is."""
        load = await self.deque_buffer.get_load_percent()
        return HealthCheckResponse(
            status="healthy" if load < DEGRADED_PERCENT else "degraded", memory_used_percent=round(load, 2)
        )

    async def _is_answered(self, tenant: str, idempotency_key: str) -> bool:
        """Whether this key has its answer, so that Google is not asked: by now it may refuse what it took then."""
        asks = self._check_token is not None or self._check_grant is not None
        return asks and await self._committer.knows(tenant, idempotency_key)

    async def _checked(self, request: ReviewFetchRequest) -> tuple[str, RefreshGrant | None]:
        """The access token to begin with (empty: one is asked for by the grant), and the grant as it is by then.

        Raises `TokenRefusedError`.
        """
        token, grant = _as_given(request)
        if token and await self.validate_access_token(token):
            return token, grant
        if grant is None:
            raise TokenRefusedError
        if self._check_grant is None:
            return "", grant
        fresh = await self._check_grant(grant)
        if fresh is None:
            raise TokenRefusedError
        return fresh.access_token, grant.renewed(fresh.refresh_token)

    def _new_job(
        self,
        request: ReviewFetchRequest,
        token: str,
        grant: RefreshGrant | None,
        *,
        tenant: str,
        idempotency_key: str | None,
        body: bytes,
        by: Origin,
    ) -> NewJob:
        job_id = str(uuid.uuid4())
        key_id, sealed, sealed_grant = self._sealed(tenant, job_id, token, grant)
        body_hash, *earlier = self._sealer.body_hashes(body) if idempotency_key else [""]
        url = request.callback_url
        callback = None if url is None else self._callback(url.get_secret_value(), tenant, job_id)
        return NewJob(
            job_id,
            tenant,
            key_id,
            sealed,
            idempotency_key,
            body_hash,
            sealed_grant,
            callback,
            by,
            tuple(earlier),
            current_traceparent(),
        )

    def _sealed(
        self, tenant: str, job_id: str, token: str, grant: RefreshGrant | None
    ) -> tuple[str, bytes, bytes | None]:
        """The id of the newest key, and what it seals: the token (nothing where there is none) and the grant."""
        sealed = self._sealer.seal(tenant, job_id, token)
        text = None if grant is None else self._sealer.seal(tenant, job_id, grant.to_text(), Purpose.GRANT).data
        return sealed.key_id, sealed.data if token else b"", text

    def _callback(self, url: str, tenant: str, job_id: str) -> Callback:
        sealed = self._sealer.seal(tenant, job_id, url, Purpose.CALLBACK)
        return Callback(sealed.key_id, sealed.data, shown_url=url.partition("?")[0])


def _as_given(request: ReviewFetchRequest) -> tuple[str, RefreshGrant | None]:
    return request.access_token.get_secret_value(), request.grant
