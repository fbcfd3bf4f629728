"""Whose jobs nobody sees any more: every read names a tenant, so a job that is these tenants' has vanished at once.

No tenant has such a name. The rows of the job go afterwards, batch by batch, and its own row is the last.
"""

ERASED = "/erased"
"""Jobs that somebody ordered to erase: readers of reviews-raw get tombstones."""

SWEPT = "/swept"
"""Jobs whose retention is over."""

HIDDEN = (ERASED, SWEPT)
