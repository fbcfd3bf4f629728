"""For administrators: Google's quota, and the settings in force."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.services import Services
from app.console.access import Administrator
from app.console.rendering import page
from app.models.quota import QuotaReport

router = APIRouter()


@router.get("/quota")
async def show_quota(visitor: Administrator, request: Request, services: Services) -> Response:
    """What is left of Google's quota, for every Google project of the tenant."""
    report = QuotaReport.model_validate({"budgets": await services.quota(visitor.tenant)})
    return page(request, "quota.html", budgets=report.budgets)


@router.get("/settings")
async def show_settings(_visitor: Administrator, request: Request, services: Services) -> Response:
    """The settings of this process; of secrets only whether they are set."""
    return page(request, "settings.html", settings=services.settings.settings)
