"""The first page: a tenant's work at a glance."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.services import ApiServices, Services
from app.console.access import Reader, Visitor
from app.console.charts import columns, shares
from app.console.rendering import page
from app.models.quota import QuotaReport

router = APIRouter()


@router.get("/")
async def show_overview(visitor: Reader, request: Request, services: Services) -> Response:
    """Jobs by state, the last hour, what waits and why, and the quota for those who may see it."""
    overview = await services.overviews.of(visitor.tenant)
    calls = columns([minute.calls for minute in overview.activity])
    return page(
        request,
        "overview.html",
        overview=overview,
        states=shares([(state.value, count) for state, count in overview.jobs.items()]),
        reviews=columns([minute.reviews for minute in overview.activity]),
        calls=calls,
        throttled=columns([minute.throttled for minute in overview.activity], calls.top),
        causes=(await services.dead_letters.causes(visitor.tenant)).causes,
        budgets=await _budgets(visitor, services),
    )


async def _budgets(visitor: Visitor, services: ApiServices) -> QuotaReport | None:
    """Google's quota may be shared with other tenants: only who may administer sees it."""
    if not visitor.may_administer:
        return None
    return QuotaReport.model_validate({"budgets": await services.quota(visitor.tenant)})
