"""What the replicas know of each other, and of the code that may work on these tables. Of no tenant."""

from sqlalchemy import Column, Double, LargeBinary, Table, Text

from app.store.schema.columns import metadata, of_all_tenants

quota_budgets = Table(
    "quota_budgets",
    metadata,
    of_all_tenants(),
    Column("project", Text, primary_key=True),
    Column("api", Text, primary_key=True),
    Column("state", LargeBinary, nullable=False),
)
"""Google counts by project, so these rows belong to all tenants (tenant '')."""

leaders = Table(
    "leaders",
    metadata,
    Column("name", Text, primary_key=True),
    of_all_tenants(),
    Column("holder", Text, nullable=False),
    Column("lease_until", Double, nullable=False),
)
"""Which replica does the work that only one may do at a time, and until when."""

schema_compatibility = Table(
    "schema_compatibility",
    metadata,
    of_all_tenants(primary_key=True),
    Column("oldest", Text, nullable=False),
)
"""One row: the oldest revision whose code works on these tables."""
