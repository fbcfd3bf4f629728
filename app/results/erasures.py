"""Orders to erase, for the API and the commands. `Erasing` carries them out."""

from functools import partial

from app.models.audit import SYSTEM, Action, AuditEntry, Origin
from app.models.erasure import ErasureKind, ErasureList, ErasureRequest, ErasureResult, ErasureView, review_key
from app.store.audit import audited
from app.store.database import Database
from app.store.erasures import (
    count_tenant,
    list_erasures,
    order_job,
    order_reviewer,
    order_tenant,
    read_erasure,
)
from app.store.reviewers import ReviewCount, count_review, count_reviewer


def _ordered(tenant: str, by: Origin, order: ErasureView) -> AuditEntry:
    """A reviewer is not named: the log cannot be erased."""
    detail: dict[str, object] = {"erasure": order.id, "kind": order.kind.value}
    return AuditEntry(tenant, Action.ERASE, order.subject or str(order.id), by, detail)


class Erasures:
    """Each order is one transaction, after which it is not lost."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_job(self, tenant: str, job_id: str, by: Origin = SYSTEM) -> ErasureResult:
        """Erase a job. Raises JobNotFoundError, JobNotEndedError."""
        order = audited(order_job, partial(_ordered, tenant, by))
        return ErasureResult(erasure=await self._database.write(order, tenant, job_id))

    async def of_tenant(self, tenant: str, by: Origin = SYSTEM) -> ErasureResult:
        """Erase everything of a tenant."""
        order = audited(order_tenant, partial(_ordered, tenant, by))
        return ErasureResult(erasure=await self._database.write(order, tenant))

    async def count_tenant(self, tenant: str) -> ErasureResult:
        """What a tenant has now."""
        jobs, reviews = await self._database.read(count_tenant, tenant)
        return ErasureResult(jobs=jobs, reviews=reviews)

    async def of_reviewer(self, tenant: str, request: ErasureRequest, by: Origin = SYSTEM) -> ErasureResult:
        """Erase the reviews that the request names, or count them."""
        if request.dry_run:
            found = await self._count(tenant, request)
            return ErasureResult(jobs=found.jobs, reviews=found.reviews)
        order = audited(order_reviewer, partial(_ordered, tenant, by))
        return ErasureResult(erasure=await self._database.write(order, tenant, request.kind, request.subject))

    async def one(self, tenant: str, erasure_id: int) -> ErasureView:
        """An order as it stands. Raises ErasureNotFoundError."""
        return await self._database.read(read_erasure, tenant, erasure_id)

    async def page(self, tenant: str, limit: int, cursor: str | None) -> ErasureList:
        """The tenant's orders, newest first. Raises BadCursorError."""
        return await self._database.read(list_erasures, tenant, limit, cursor)

    async def _count(self, tenant: str, request: ErasureRequest) -> ReviewCount:
        key = review_key(request.subject) if request.kind is ErasureKind.REVIEW else None
        if key is not None:
            return await self._database.read(count_review, tenant, key)
        jobs, reviews, after = set[str](), 0, 0
        while (look := await self._database.read(count_reviewer, tenant, request.subject, after)) is not None:
            jobs |= look.jobs
            reviews += look.reviews
            after = look.reached
        return ReviewCount(len(jobs), reviews)
