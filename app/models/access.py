"""What an API key allows."""

import re
from enum import StrEnum

DEFAULT_TENANT = "default"
"""Whose jobs are those of keys from the environment, and of a service without keys."""

TENANT = re.compile(r"[a-z][a-z0-9_-]{0,62}")
"""A tenant's name: it becomes part of message keys, in front of a slash."""

MOST_WEIGHT = 1_000
"""The largest weight of a tenant: beyond it the smallest would hardly be served."""


class Scope(StrEnum):
    """Submit jobs; read jobs and results; operate them (cancel, pause, new token, redrive); everything."""

    SUBMIT = "submit"
    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"
