"""The caller's tenant. Its settings are the operator's to change: `review-fetcher tenants set`."""

from fastapi import APIRouter

from app.api.auth import Administrator
from app.api.services import Services
from app.models.tenants import TenantView

router = APIRouter(prefix="/api/v1/tenant", tags=["operations"])


@router.get("")
async def get_tenant(caller: Administrator, services: Services) -> TenantView:
    """The settings in force for the caller's tenant: its weight beside other tenants, and its limits."""
    return await services.tenants.of(caller.tenant)
