"""For administrators: Google's quota, the audit log, and the settings in force."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from app.api.services import Services
from app.console.access import Administrator
from app.console.rendering import page
from app.models.quota import QuotaReport

router = APIRouter()

ENTRIES_A_PAGE = 100


@router.get("/quota")
async def show_quota(_visitor: Administrator, request: Request, services: Services) -> Response:
    """What is left of Google's quota, for every Google project of any tenant."""
    report = QuotaReport.model_validate({"budgets": await services.quota()})
    return page(request, "quota.html", budgets=report.budgets)


@router.get("/audit")
async def show_audit_log(
    visitor: Administrator,
    request: Request,
    services: Services,
    before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None,
) -> Response:
    """Who did what, the newest first."""
    entries = await services.audit.newest(visitor.tenant, ENTRIES_A_PAGE, before)
    older = entries[-1].id if len(entries) == ENTRIES_A_PAGE else None
    return page(request, "audit.html", entries=entries, older=older)


@router.get("/settings")
async def show_settings(_visitor: Administrator, request: Request, services: Services) -> Response:
    """The settings of this process; of secrets only whether they are set."""
    return page(request, "settings.html", settings=services.settings.settings)
