"""The tables, once, for SQLite and PostgreSQL alike. Times are seconds since 1970, by the database's clock.

Every row carries its tenant. `reviews` is the hot table: a narrow unique key (the location's number in place of job
and name) keeps an insert within the pages of the location being read. The migrations under `migrations/` create
exactly these tables; a contract test compares the two.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    and_,
    false,
    literal_column,
    text,
)

from app.models.job import TaskStatus

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

Number = BigInteger().with_variant(Integer, "sqlite")
"""64 bits everywhere: SQLite counts rows up only in a column declared INTEGER, which holds 64 bits there."""


def status_in(column: ColumnElement[str], states: Iterable[StrEnum]) -> ColumnElement[bool]:
    """`column IN (…)` with the states as literals: a list of parameters would be expanded anew at each execution."""
    return column.in_([literal_column(f"'{state.value}'") for state in states])


def status_is(column: ColumnElement[str], state: StrEnum) -> ColumnElement[bool]:
    """`column = state` with the state as a literal: a parameter would keep SQLite from using a partial index."""
    return column == literal_column(f"'{state.value}'")


def _count(name: str) -> Column[int]:
    return Column(name, Number, nullable=False, server_default=text("0"))


def _of_all_tenants(*, primary_key: bool = False) -> Column[str]:
    return Column("tenant", Text, primary_key=primary_key, nullable=False, server_default=text("''"))


jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("finished_at", Double),
    _count("tasks_open"),
    _count("tasks_done"),
    _count("tasks_dead"),
    _count("accounts_found"),
    _count("accounts_done"),
    _count("locations_found"),
    _count("locations_done"),
    _count("locations_unavailable"),
    _count("reviews_fetched"),
    _count("reviews_duplicates"),
    _count("reviews_expected"),
    _count("calls"),
    _count("pages_settled"),
    _count("credential_version"),
    Column("google_project", Text),
    Column("token_expires_at", Double),
    Column("token_refreshable", Boolean, nullable=False, server_default=false()),
    _count("locations_begun"),
    Column("clocked_from", Double),
    _count("clocked_calls"),
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


def _partial_index(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> None:
    """Kept only for the rows it is asked about, so that the millions of rows that are done cost nothing."""
    Index(name, *columns, sqlite_where=where, postgresql_where=where)


_waits = status_is(tasks.c.status, TaskStatus.WAITING)
_partial_index("ix_jobs_google_project", jobs.c.tenant, jobs.c.google_project, where=jobs.c.google_project.is_not(None))
_partial_index("ix_jobs_finished", jobs.c.tenant, jobs.c.finished_at, where=jobs.c.finished_at.is_not(None))
_partial_index(
    "ix_tasks_waiting", tasks.c.stage, tasks.c.tenant, tasks.c.job_id, tasks.c.due_at, tasks.c.id, where=_waits
)
_partial_index("ix_tasks_due", tasks.c.due_at, where=_waits)
_partial_index(
    "ix_tasks_out",
    tasks.c.stage,
    tasks.c.status,
    tasks.c.tenant,
    tasks.c.job_id,
    where=status_in(tasks.c.status, OUT),
)
_partial_index("ix_tasks_lease", tasks.c.lease_until, where=tasks.c.lease_until.is_not(None))

locations = Table(
    "locations",
    metadata,
    Column("no", Number, primary_key=True, autoincrement=True),
    Column("tenant", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("store_code", Text),
    Column("place_id", Text),
    Column("verified", Boolean),
    Column("state", Text, nullable=False),
    Column("cause", Text),
    Column("total", Number),
    Column("average", Double),
    _count("fetched"),
    _count("duplicates"),
    Column("gap", Number),
    UniqueConstraint("job_id", "location"),
    Index("ix_locations_tenant_location", "tenant", "location"),
)

other_accounts = Table(
    "other_accounts",
    metadata,
    Column("location_no", Number, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
)
"""Further accounts that list a location and have not been tried for it: asked when its own answers 403 or 404."""

reviews = Table(
    "reviews",
    metadata,
    Column("seq", Number, primary_key=True, autoincrement=True),
    Column("tenant", Text, nullable=False),
    Column("location_no", Number, nullable=False),
    Column("review_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("rating", SmallInteger),
    Column("comment", Text),
    Column("reviewer", Text),
    Column("create_time", Text),
    Column("update_time", Text),
    Column("reply", Text),
    Column("raw", LargeBinary, nullable=False),
    UniqueConstraint("location_no", "review_id"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("tenant", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("location_no", Number, nullable=False),
    Column("first_seq", Number, nullable=False),
    Column("last_seq", Number, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("position", Number, unique=True),
    Column("kind", Text, nullable=False, server_default=text("'reviews'")),
    _count("review_count"),
    _count("review_bytes"),
)
"""What the publisher is to send, in the order of `position`, which it stamps on committed rows.

`reviews`: one row for a settled page with new reviews, sent as the rows of `reviews` from first_seq to last_seq of that
location; `review_count` is how many these are, and Google's objects in them have `review_bytes` at most.
`dead_letter`: one row for a dead letter, whose id is first_seq and last_seq; location_no is 0.
`tombstone`: the tombstones whose ids are from first_seq to last_seq; location_no is 0.
`fence`: nothing to send. It stands behind all rows of a job: once it is published, so are they.
"""

PAGE_OF_REVIEWS = "reviews"
DEAD_LETTER = "dead_letter"
TOMBSTONE = "tombstone"
FENCE = "fence"
"""The kinds of an outbox row."""


def kind_is(kind: str) -> ColumnElement[bool]:
    """With the kind as a literal, as a partial index has it."""
    return outbox.c.kind == literal_column(f"'{kind}'")


_partial_index("ix_outbox_unstamped", outbox.c.id, where=outbox.c.position.is_(None))
_partial_index("ix_outbox_tombstones", outbox.c.position, where=kind_is(TOMBSTONE))
_partial_index("ix_outbox_fences", outbox.c.job_id, where=kind_is(FENCE))

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("tenant", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("task_id", Number),
    Column("stage", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("cursor", Text),
    Column("created_at", Double, nullable=False),
    _count("redrives"),
    Column("redriven_at", Double),
    _count("earlier_redrives"),
    Index("ix_dead_letters_tenant_id", "tenant", "id"),
    Index("ix_dead_letters_job_id", "job_id"),
)

_partial_index(
    "ix_dead_letters_undriven",
    dead_letters.c.stage,
    where=and_(dead_letters.c.redriven_at.is_(None), dead_letters.c.task_id.is_not(None)),
)

_still_dead = dead_letters.c.redriven_at.is_(None)
_partial_index("ix_dead_letters_still_dead", dead_letters.c.tenant, dead_letters.c.id, where=_still_dead)
_partial_index(
    "ix_dead_letters_causes",
    dead_letters.c.tenant,
    dead_letters.c.cause,
    dead_letters.c.earlier_redrives,
    dead_letters.c.created_at,
    where=_still_dead,
)
_partial_index(
    "ix_dead_letters_redriven",
    dead_letters.c.task_id,
    dead_letters.c.id,
    where=dead_letters.c.redriven_at.is_not(None),
)

callbacks = Table(
    "callbacks",
    metadata,
    Column("job_id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("sealed_url", LargeBinary, nullable=False),
    Column("shown_url", Text, nullable=False),
    Index("ix_callbacks_key_id_job_id", "key_id", "job_id"),
)
"""Where a job's end is told. A URL may hold a secret: it is sealed, and shown without its query. Both empty: its key
was lost."""

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("tenant", Text, nullable=False),
    Column("job_id", Text, nullable=False),
    Column("message_id", Text, nullable=False, unique=True),
    Column("event", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("status", Text, nullable=False),
    _count("version"),
    _count("attempts"),
    Column("due_at", Double, nullable=False),
    Column("answered", Integer),
    Column("last_error", Text),
    Column("created_at", Double, nullable=False),
    Column("delivered_at", Double),
    Index("ix_webhooks_job_id", "job_id"),
)
"""Messages about jobs to their callbacks: waiting (until `due_at`), delivered, or given up as failed."""

_partial_index("ix_webhooks_due", webhooks.c.due_at, where=webhooks.c.status == literal_column("'waiting'"))

activity = Table(
    "activity",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("minute", Number, primary_key=True, autoincrement=False),
    _count("reviews"),
    _count("calls"),
    _count("throttled"),
    Index("ix_activity_minute", "minute"),
)
"""What was done in each minute (since 1970), by all replicas together, for charts. Written now and then, not by
settles; kept for a day."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("hash", Text, nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("revoked_at", Double),
    Column("expires_at", Double),
    Column("last_used_at", Double),
    Column("replaced_by", Text),
)
"""Who may call. One that was rotated names the key that replaces it, and expires when the overlap is over."""

ended_sessions = Table(
    "ended_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("expires_at", Double, nullable=False),
)
"""Sessions of the console that somebody has signed out of, until they would have expired by themselves."""

tenants = Table(
    "tenants",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("weight", Integer),
    Column("max_open_jobs", Integer),
    Column("submits_per_minute", Integer),
    Column("retention_days", Integer),
    Column("drop_reviewers", Boolean),
    Column("updated_at", Double, nullable=False),
)
"""What differs for a tenant from the service's settings; NULL is what these say. A tenant needs no row."""

submit_rates = Table(
    "submit_rates",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("arrival_at", Double, nullable=False),
)
"""How far ahead of the clock a tenant's submissions are: the theoretical arrival time of the generic cell rate
algorithm."""

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("address", Text, nullable=False, server_default=text("''")),
    Column("request_id", Text, nullable=False, server_default=text("''")),
    Column("detail", Text, nullable=False, server_default=text("'{}'")),
    Index("ix_audit_log_tenant_id", "tenant", "id"),
)
"""Who did what to which job, key or tenant, when, and from where. Rows are only added: triggers refuse the rest.
Without an index by subject: ids of jobs are random, and to keep one would cost each submission more than its row."""

erasures = Table(
    "erasures",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("finished_at", Double),
    _count("jobs_erased"),
    _count("reviews_erased"),
    _count("reached"),
    _count("upto"),
    Index("ix_erasures_tenant_id", "tenant", "id"),
)
"""Orders to erase a tenant, a job or a reviewer, carried out in small batches until nothing is left.

A reviewer is looked for by name in all reviews: `reached` is the last number looked at, `upto` the last to look at.
`subject` names whom until then; whoever was erased is not kept in it.
"""

_partial_index("ix_erasures_open", erasures.c.id, where=erasures.c.finished_at.is_(None))

tombstones = Table(
    "tombstones",
    metadata,
    Column("id", Number, primary_key=True, autoincrement=True),
    Column("tenant", Text, nullable=False),
    Column("location", Text, nullable=False),
    Column("review_id", Text, nullable=False),
    Column("created_at", Double, nullable=False),
)
"""Reviews that were erased and whose tombstone is to be sent: an outbox row of that kind names the first and the last
of these."""

quota_budgets = Table(
    "quota_budgets",
    metadata,
    _of_all_tenants(),
    Column("project", Text, primary_key=True),
    Column("api", Text, primary_key=True),
    Column("state", LargeBinary, nullable=False),
)
"""Google counts by project, so these rows belong to all tenants (tenant '')."""


leaders = Table(
    "leaders",
    metadata,
    Column("name", Text, primary_key=True),
    _of_all_tenants(),
    Column("holder", Text, nullable=False),
    Column("lease_until", Double, nullable=False),
)
"""Which replica does the work that only one may do at a time, and until when."""

publisher_head = Table(
    "publisher_head",
    metadata,
    Column("topic", Text, primary_key=True),
    _of_all_tenants(),
    _count("position"),
    _count("published"),
    Column("cluster_id", Text),
    Column("topic_id", Text),
    Column("updated_at", Double),
)
"""The last position stamped on a row of the outbox, the last one that is in the topic, and which topic that is."""

known_topics = Table(
    "known_topics",
    metadata,
    Column("topic", Text, primary_key=True),
    _of_all_tenants(),
    Column("identity", Text, nullable=False),
)
"""The topics as they were seen last: one with another identity was made anew, and its messages are gone."""

schema_compatibility = Table(
    "schema_compatibility",
    metadata,
    _of_all_tenants(primary_key=True),
    Column("oldest", Text, nullable=False),
)
"""One row: the oldest revision whose code works on these tables."""
