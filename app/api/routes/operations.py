"""For operators and their tools: health, quota, metrics, and what this service is."""

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import HTMLResponse, JSONResponse, Response

from app.api.auth import Administrator, AnyCaller
from app.api.errors import NotReadyError
from app.api.problems import problem_responses
from app.api.reference import REFERENCE_POLICY, reference_page
from app.api.schemas import HealthCheckResponse, Liveness, Readiness, ServiceInformation
from app.api.services import Services
from app.models.overview import SettingList
from app.models.quota import QuotaReport

router = APIRouter(tags=["operations"])

_LINKS = {
    "documentation": "/docs",
    "openapi": "/openapi.json",
    "jobs": "/api/v1/review-fetch",
    "health": "/api/v1/health",
}


@router.get("/api/v1/health")
async def get_health(services: Services) -> HealthCheckResponse:
    """How busy the service is; always 200."""
    return await services.api_service.get_health()


@router.get("/livez")
async def get_liveness() -> Liveness:
    """Whether the process answers."""
    return Liveness()


@router.get("/readyz", responses=problem_responses([503]))
async def get_readiness(services: Services) -> Readiness:
    """Whether the service can do its work; 503 with what is away when it cannot."""
    readiness = await services.readiness()
    if not readiness.ready:
        raise NotReadyError(readiness.checks)
    return readiness


@router.get("/api/v1/quota")
async def get_quota(caller: Administrator, services: Services) -> QuotaReport:
    """What is left of Google's quota, for every Google project that the tenant's tokens belong to."""
    return QuotaReport.model_validate({"budgets": await services.quota(caller.tenant)})


@router.get("/api/v1/settings")
async def get_settings(_caller: Administrator, services: Services) -> SettingList:
    """The settings of the process that answers, as they are in force; of secrets only whether they are set."""
    return services.settings


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def get_metrics(_caller: Administrator, services: Services) -> Response:
    """Metrics in Prometheus' text format, of all tenants together."""
    return Response(await services.metrics_text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/")
async def get_service(_caller: AnyCaller, request: Request) -> ServiceInformation:
    """What this is, and where to go on."""
    return ServiceInformation(name=request.app.title, version=request.app.version, links=_LINKS)


@router.get("/openapi.json", response_class=JSONResponse)
async def get_openapi(_caller: AnyCaller, request: Request) -> JSONResponse:
    """This API as an OpenAPI 3.1 document."""
    return JSONResponse(request.app.openapi())


@router.get("/docs", response_class=HTMLResponse)
async def get_reference(_caller: AnyCaller, request: Request) -> HTMLResponse:
    """This API as a page to read."""
    return HTMLResponse(reference_page(request.app.openapi()), headers={"Content-Security-Policy": REFERENCE_POLICY})
