"""Whose jobs nobody sees any more: every read names a tenant, so a job that is these tenants' has vanished at once.

No tenant has such a name. The rows of the job go afterwards, batch by batch, and its own row is the last.
"""

from sqlalchemy import select

from app.store.schema import jobs

ERASED = "/erased"
"""Jobs that somebody ordered to erase: readers of reviews-raw get tombstones."""

SWEPT = "/swept"
"""Jobs whose retention is over."""

HIDDEN = (ERASED, SWEPT)

hidden_jobs = select(jobs.c.id).where(jobs.c.tenant.in_(HIDDEN))
"""Their ids. The other rows of such a job name the tenant until they go: who reads those of many jobs leaves these out.
There are few, and whether a row is one of theirs is looked up in memory, whatever else is asked of it.
"""

any_hidden = select(hidden_jobs.exists())
