"""Tenants and keys: who may do how much, who did what, and what is to be erased for whom."""

from sqlalchemy import Boolean, Column, Double, Index, Integer, Table, Text, text

from app.store.schema.columns import Number, count, metadata, partial_index

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
    count("jobs_erased"),
    count("reviews_erased"),
    count("reached"),
    count("upto"),
    Index("ix_erasures_tenant_id", "tenant", "id"),
)
"""Orders to erase a tenant, a job or a reviewer, carried out in small batches until nothing is left.

A reviewer is looked for by name in all reviews: `reached` is the last number looked at, `upto` the last to look at.
`subject` names whom until then; whoever was erased is not kept in it.
"""

partial_index("ix_erasures_open", erasures.c.id, where=erasures.c.finished_at.is_(None))
