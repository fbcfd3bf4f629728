"""The numbers of the process, for who may see those of all tenants: a key with `admin`, or anybody who gets here."""

from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from app.api.auth import Administrator
from app.api.services import ApiServices, Services
from app.api.surface import METRICS

guarded = APIRouter(tags=["operations"])
unguarded = APIRouter(tags=["operations"])

_TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {}}}}


@guarded.get(METRICS, response_class=Response, responses=_TEXT)
async def get_metrics(_caller: Administrator, services: Services) -> Response:
    """Metrics in Prometheus' text format, of all tenants together."""
    return await _metrics(services)


@unguarded.get(METRICS, response_class=Response, responses=_TEXT)
async def get_metrics_unguarded(services: Services) -> Response:
    """Metrics in Prometheus' text format, of all tenants together."""
    return await _metrics(services)


async def _metrics(services: ApiServices) -> Response:
    return Response(await services.metrics_text(), media_type=CONTENT_TYPE_LATEST)
