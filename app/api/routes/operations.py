"""For operators and their tools: health, quota, settings, and what this service is."""

from typing import Annotated

from fastapi import APIRouter, Query, Request

from app.api.auth import Administrator, AnyCaller
from app.api.errors import NotReadyError
from app.api.problems import problem_responses
from app.api.schemas import HealthCheckResponse, Liveness, Readiness, ServiceInformation
from app.api.services import Services
from app.models.overview import SettingList
from app.models.quota import QuotaReport

router = APIRouter(tags=["operations"])

SPARED = frozenset({"broker", "topics", "publisher"})
"""Parts without which jobs are still accepted and told of."""

Excluded = Annotated[
    tuple[str, ...],
    Query(description=f"Parts that do not count: any of {', '.join(sorted(SPARED))}. Others are not spared."),
]

_LINKS = {"jobs": "/api/v1/review-fetch", "health": "/api/v1/health"}
_DOCUMENTATION = {"documentation": "/docs", "openapi": "/openapi.json"}


@router.get("/api/v1/health")
async def get_health(services: Services) -> HealthCheckResponse:
    """How busy the service is; always 200."""
    return await services.api_service.get_health()


@router.get("/livez")
async def get_liveness() -> Liveness:
    """Whether the process answers."""
    return Liveness()


@router.get("/readyz", responses=problem_responses([422, 503]))
async def get_readiness(services: Services, exclude: Excluded = ()) -> Readiness:
    """Whether the service can do its work; 503 with what is away when it cannot."""
    readiness = (await services.readiness()).without(SPARED.intersection(exclude))
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


@router.get("/")
async def get_service(_caller: AnyCaller, request: Request) -> ServiceInformation:
    """What this is, and where to go on."""
    links = _DOCUMENTATION | _LINKS if request.app.state.surface.documentation else _LINKS
    return ServiceInformation(name=request.app.title, version=request.app.version, links=links)
