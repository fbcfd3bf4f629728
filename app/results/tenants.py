"""The settings in force for a tenant."""

from app.models.limits import SubmitLimits
from app.models.tenants import TenantView
from app.store.database import Database
from app.store.submit_limits import limits_of
from app.store.tenants import tenant_settings


class Tenants:
    """`limits`: those of tenants that have none of their own."""

    def __init__(self, database: Database, limits: SubmitLimits) -> None:
        self._database = database
        self._limits = limits

    async def of(self, tenant: str) -> TenantView:
        own = await self._database.read(tenant_settings, tenant)
        limits = limits_of(own, self._limits)
        return TenantView(
            tenant=tenant,
            weight=own.weight or 1,
            **limits._asdict(),
            retention_days=own.retention_days,
            drop_reviewers=own.drop_reviewers,
        )
