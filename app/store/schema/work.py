"""Jobs, what opens them, and their tasks. Here is what workers and the scheduler change all the time."""

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from app.models.job import TaskStatus
from app.store.schema.columns import Number, count, metadata, partial_index, status_in, status_is

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("finished_at", Double),
    count("tasks_open"),
    count("tasks_done"),
    count("tasks_dead"),
    count("accounts_found"),
    count("accounts_done"),
    count("locations_found"),
    count("locations_done"),
    count("locations_unavailable"),
    count("reviews_fetched"),
    count("reviews_duplicates"),
    count("reviews_expected"),
    count("calls"),
    count("pages_settled"),
    count("credential_version"),
    Column("google_project", Text),
    Column("token_expires_at", Double),
    Column("token_refreshable", Boolean, nullable=False, server_default=false()),
    count("locations_begun"),
    Column("clocked_from", Double),
    count("clocked_calls"),
    Column("waiting_reason", Text),
    Column("waiting_until", Double),
    Column("error_type", Text),
    Column("error_detail", Text),
    Column("error_status", Integer),
    Column("traceparent", Text),
    Index("ix_jobs_tenant_created_at_id", "tenant", "created_at", "id"),
    Index("ix_jobs_tenant_status_created_at_id", "tenant", "status", "created_at", "id"),
    Index("ix_jobs_status_updated_at", "status", "updated_at"),
)

credentials = Table(
    "credentials",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("version", Number, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("wipe_after", Double),
    Column("sealed_grant", LargeBinary),
    Column("refreshing_until", Double),
    Column("refreshed_at", Double),
    Index("ix_credentials_wipe_after", "wipe_after"),
    Index("ix_credentials_key_id_job_id", "key_id", "job_id"),
    Index("ix_credentials_created_at", "created_at"),
)
"""A job's access token, and with it what new ones are asked for by, both sealed with the key `key_id`; `created_at` is
when the caller gave them. `sealed` is empty until the first one came, and `refreshed_at` is when Google gave it for the
grant (NULL: the caller gave it). One replica asks for a new one at a time, and has until `refreshing_until` for it;
after a failure nobody asks before."""

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("body_hash", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Index("ix_idempotency_keys_created_at", "created_at"),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("tenant", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("account", Text, nullable=False, server_default=text("''")),
    Column("title", Text, nullable=False, server_default=text("''")),
    Column("location_no", Number),
    Column("cursor", Text),
    Column("walk", SmallInteger, nullable=False, server_default=text("0")),
    Column("pages", Integer, nullable=False, server_default=text("0")),
    Column("restarts", SmallInteger, nullable=False, server_default=text("0")),
    Column("missing", SmallInteger, nullable=False, server_default=text("0")),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("crashes", Integer, nullable=False, server_default=text("0")),
    Column("version", Number, nullable=False, server_default=text("0")),
    Column("status", Text, nullable=False),
    Column("due_at", Double, nullable=False),
    Column("holder", Text),
    Column("lease_until", Double),
    Column("last_error", Text),
    UniqueConstraint("job_id", "stage", "resource"),
)

OUT = (TaskStatus.RELEASED, TaskStatus.HELD)
"""The states of a task that is with a worker, or on its way to one. In the order in which the index names them."""

_waits = status_is(tasks.c.status, TaskStatus.WAITING)

partial_index("ix_jobs_google_project", jobs.c.tenant, jobs.c.google_project, where=jobs.c.google_project.is_not(None))

partial_index("ix_jobs_finished", jobs.c.tenant, jobs.c.finished_at, where=jobs.c.finished_at.is_not(None))

partial_index(
    "ix_tasks_waiting", tasks.c.stage, tasks.c.tenant, tasks.c.job_id, tasks.c.due_at, tasks.c.id, where=_waits
)

partial_index("ix_tasks_due", tasks.c.due_at, where=_waits)

partial_index(
    "ix_tasks_out",
    tasks.c.stage,
    tasks.c.status,
    tasks.c.tenant,
    tasks.c.job_id,
    where=status_in(tasks.c.status, OUT),
)

partial_index("ix_tasks_lease", tasks.c.lease_until, where=tasks.c.lease_until.is_not(None))

activity = Table(
    "activity",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("minute", Number, primary_key=True, autoincrement=False),
    count("reviews"),
    count("calls"),
    count("throttled"),
    Index("ix_activity_minute", "minute"),
)
"""What was done in each minute (since 1970), by all replicas together, for charts. Written now and then, not by
settles; kept for a day."""
