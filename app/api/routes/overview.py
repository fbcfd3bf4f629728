"""A tenant's work at a glance."""

from fastapi import APIRouter

from app.api.auth import Reader
from app.api.services import Services
from app.models.overview import Overview

router = APIRouter(prefix="/api/v1/overview", tags=["jobs"])


@router.get("")
async def get_overview(caller: Reader, services: Services) -> Overview:
    """The tenant's jobs by state, what was done in the last hour, what waits and why."""
    return await services.overviews.of(caller.tenant)
