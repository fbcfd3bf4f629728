"""What an API key allows."""

from enum import StrEnum

DEFAULT_TENANT = "default"
"""Whose jobs are those of keys from the environment, and of a service without keys."""


class Scope(StrEnum):
    """Submit jobs; read jobs and results; operate them (cancel, pause, new token, redrive); everything."""

    SUBMIT = "submit"
    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"
