"""What differs for a tenant from the service's own settings. A tenant needs no row; NULL is what the service says."""

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, delete, select

from app.store.database import HotStatement, Transaction
from app.store.schema import tenants


class TenantSettings(NamedTuple):
    """None: as the service's settings say. `weight`: the tenant's share of quota and workers beside other tenants;
    `max_open_jobs` and `submits_per_minute` (0: no limit); `retention_days`; `drop_reviewers`: who wrote is not kept.
    """

    weight: int | None = None
    max_open_jobs: int | None = None
    submits_per_minute: int | None = None
    retention_days: int | None = None
    drop_reviewers: bool | None = None


NO_SETTINGS = TenantSettings()

_columns = [tenants.c[name] for name in TenantSettings._fields]


def tenant_settings(transaction: Transaction, tenant: str) -> TenantSettings:
    """The tenant's own settings."""
    return settings_of(transaction, [tenant]).get(tenant, NO_SETTINGS)


def settings_of(transaction: Transaction, names: Collection[str]) -> Mapping[str, TenantSettings]:
    """Tenant → its own settings, for those of `names` that have any."""
    values = {f"tenant{number}": name for number, name in enumerate(sorted(names))}
    rows = _named(len(values)).execute(transaction, values)
    return {row[0]: _settings(*row[1:]) for row in rows}


@lru_cache(maxsize=128)
def _named(count: int) -> HotStatement:
    """Asked for every batch of submissions."""
    wanted: list[ColumnElement[str]] = [bindparam(f"tenant{number}") for number in range(count)]
    return HotStatement(select(tenants.c.tenant, *_columns).where(tenants.c.tenant.in_(wanted)))


def list_tenants(transaction: Transaction) -> dict[str, TenantSettings]:
    """Every tenant with settings of its own, by name."""
    rows = transaction.connection.execute(select(tenants.c.tenant, *_columns).order_by(tenants.c.tenant))
    return {tenant: _settings(*values) for tenant, *values in rows}


def change_tenant(transaction: Transaction, tenant: str, changes: Mapping[str, int | bool | None]) -> TenantSettings:
    """Change the settings named, by the fields of `TenantSettings`; None gives one back to the service's settings."""
    unknown = set(changes) - set(TenantSettings._fields)
    if unknown:
        raise ValueError(f"a tenant has no settings {sorted(unknown)}")
    values: dict[str, Any] = {**changes, "updated_at": transaction.now}
    row = transaction.insert_or_keep(tenants).values(tenant=tenant, **values)
    transaction.connection.execute(row.on_conflict_do_update(index_elements=[tenants.c.tenant], set_=values))
    settings = tenant_settings(transaction, tenant)
    if settings == NO_SETTINGS:
        transaction.connection.execute(delete(tenants).where(tenants.c.tenant == tenant))
    return settings


def _settings(*values: Any) -> TenantSettings:
    settings = TenantSettings(*values)
    drops = settings.drop_reviewers  # a number in SQLite
    return settings if drops is None else settings._replace(drop_reviewers=bool(drops))
