"""What is written down about who did what. docs/operating.md says what each action means."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Action(StrEnum):
    """What was done, thing by thing. A test keeps every name in use and in the docs."""

    JOB_SUBMIT = "job.submit"
    JOB_CANCEL = "job.cancel"
    JOB_PAUSE = "job.pause"
    JOB_RESUME = "job.resume"
    JOB_REPLACE_TOKEN = "job.replace_token"  # noqa: S105 - an action
    DEAD_LETTERS_REDRIVE = "dead_letters.redrive"
    WEBHOOK_RESEND = "webhook.resend"
    WEBHOOK_SECRETS = "webhook.secrets"
    REVIEWS_EXPORT = "reviews.export"
    ERASE = "erase"
    SIGN_IN = "sign_in"
    SIGN_IN_FAILED = "sign_in_failed"
    SIGN_OUT = "sign_out"
    KEY_CREATE = "key.create"
    KEY_ROTATE = "key.rotate"
    KEY_REVOKE = "key.revoke"
    SEALING_RESEAL = "sealing.reseal"
    SEALING_FORGET = "sealing.forget"
    TENANT_SET = "tenant.set"
    STORE_MIGRATE = "store.migrate"
    STORE_COPY = "store.copy"
    REPUBLISH = "republish"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who did something, from where, in which request.

    `actor`: the id of an API key, `console:` and the id of the key that a browser signed in with, `cli:` and the user
    of the operating system, `system`, or `nobody` where no key was shown. `address`: of the client; of a command the
    machine's name. `request_id`: empty unless it was a request.
    """

    actor: str
    address: str = ""
    request_id: str = ""


SYSTEM = Origin("system")
"""The service by itself."""

NOBODY = "nobody"
"""The actor of a request without a key: a service without keys that is open to its own machine, or a wrong key."""

ALL_TENANTS = ""
"""Whose entries those about the store as a whole are."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A deed. `subject`: the id of what it was done to. `detail`: a few numbers and words about it, never a secret."""

    tenant: str
    action: Action
    subject: str
    by: Origin = SYSTEM
    detail: Mapping[str, object] = field(default_factory=dict)
