"""API keys as API and command line show and take them. The key itself is told once, when it is made."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.models.access import Scope
from app.models.durations import DAY_SECONDS, Duration
from app.models.views import View

SOON_SECONDS = 7 * DAY_SECONDS
"""A key that ends within a week expires soon."""

USUAL = (Scope.SUBMIT, Scope.READ, Scope.OPERATE)
"""What a key may do if nothing else is said: everything but administer."""

OVERLAP_SECONDS = DAY_SECONDS

_CENTURY = 100 * 365.25 * DAY_SECONDS


class KeyState(StrEnum):
    """valid → expires_soon (within a week) → expired; or revoked."""

    VALID = "valid"
    EXPIRES_SOON = "expires_soon"
    EXPIRED = "expired"
    REVOKED = "revoked"


class KeyView(View):
    """An API key, without its secret."""

    id: str
    """The part of the key between its underscores."""
    tenant: str
    """Whose jobs it is for."""
    name: str
    """What it is for, in the words of who made it."""
    scopes: list[Scope]
    """What it allows; `admin` is all."""
    state: KeyState
    """Whether it still opens anything; `expires_soon`: within a week."""
    created_at: datetime
    """When it was made."""
    expires_at: datetime | None
    """When it ends, or has ended, by itself; null: it does not."""
    last_used_at: datetime | None
    """When it last let a request in, a minute late at most; null: never."""
    revoked_at: datetime | None
    """When it was revoked."""
    replaced_by: str | None
    """The id of the key that it was rotated to."""


class KeyList(View):
    """A page of a tenant's API keys, newest first."""

    keys: list[KeyView]
    """Also those that have ended."""
    next_cursor: str | None
    """Where the next page begins; null on the last."""


class NewKey(View):
    """A key that was just made, and the only telling of it."""

    key: str = Field(repr=False)
    """The key itself: only its hash is kept, so it is not shown again."""
    made: KeyView
    """What is kept of it."""
    replaced: KeyView | None = None
    """The key that it replaces, with the end of the overlap as `expires_at`; null for a key of its own."""


class _Request(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, frozen=True, extra="forbid", hide_input_in_errors=True)


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")
]


class KeyCreation(_Request):
    """A key to be made, for the tenant of who makes it."""

    name: Name
    """What it is for, for people."""
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))] = list(USUAL)
    """What it allows. Without: submit, read and operate."""
    expires_in: Annotated[Duration, Field(ge=60, le=_CENTURY)] | None = None
    """It ends by itself after this time, e.g. `90d`. Without: it lives until it is revoked."""


class KeyRotation(_Request):
    """How a key is replaced."""

    overlap: Annotated[Duration, Field(ge=0, le=_CENTURY)] = OVERLAP_SECONDS
    """How long the old key goes on beside the new one, e.g. `24h`; `0`: not at all."""
