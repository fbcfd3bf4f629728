"""The tables, once, for SQLite and PostgreSQL alike. Times are seconds since 1970, by the database's clock.

Every row carries its tenant. The migrations under `migrations/` create exactly these tables; a contract test compares
the two. They lie by what they are for; who uses them imports them from here.
"""

from app.store.schema.access import api_keys, audit_log, ended_sessions, erasures, submit_rates, tenants
from app.store.schema.columns import Number, metadata, status_in, status_is
from app.store.schema.results import dead_letters, locations, other_accounts, reviews
from app.store.schema.sending import (
    DEAD_LETTER,
    FENCE,
    PAGE_OF_REVIEWS,
    TOMBSTONE,
    callbacks,
    kind_is,
    known_topics,
    outbox,
    publisher_head,
    tombstones,
    webhooks,
)
from app.store.schema.service import leaders, quota_budgets, schema_compatibility
from app.store.schema.work import OUT, activity, credentials, idempotency_keys, jobs, tasks

__all__ = [
    "DEAD_LETTER",
    "FENCE",
    "OUT",
    "PAGE_OF_REVIEWS",
    "TOMBSTONE",
    "Number",
    "activity",
    "api_keys",
    "audit_log",
    "callbacks",
    "credentials",
    "dead_letters",
    "ended_sessions",
    "erasures",
    "idempotency_keys",
    "jobs",
    "kind_is",
    "known_topics",
    "leaders",
    "locations",
    "metadata",
    "other_accounts",
    "outbox",
    "publisher_head",
    "quota_budgets",
    "reviews",
    "schema_compatibility",
    "status_in",
    "status_is",
    "submit_rates",
    "tasks",
    "tenants",
    "tombstones",
    "webhooks",
]
