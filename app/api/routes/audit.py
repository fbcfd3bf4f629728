"""The audit log: who did what."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.auth import Administrator
from app.api.problems import problem_responses
from app.api.queries import AuditQuery
from app.api.services import Services
from app.models.audit_views import AuditPage

router = APIRouter(prefix="/api/v1/audit", tags=["operations"])


@router.get("", responses=problem_responses([422]))
async def read_audit_log(caller: Administrator, services: Services, query: Annotated[AuditQuery, Query()]) -> AuditPage:
    """The tenant's entries in their order, oldest first. Ask again with `next_cursor`."""
    return await services.audit.page(caller.tenant, query, query.limit, query.after)
