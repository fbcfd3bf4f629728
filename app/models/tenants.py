"""What is shown of a tenant's settings: the shape that API and CLI share."""

from pydantic import BaseModel


class TenantView(BaseModel):
    """The settings in force for a tenant. `max_open_jobs` and `submits_per_minute`: 0 is no limit.

    `retention_days` and `drop_reviewers` are the tenant's own; null: as the service's settings say.
    """

    tenant: str
    weight: int
    max_open_jobs: int
    submits_per_minute: int
    retention_days: int | None
    drop_reviewers: bool | None
