"""The audit log as it is asked for and shown."""

from datetime import datetime
from functools import cached_property
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from app.models.audit import Action
from app.models.instants import NANOSECONDS, begin_of
from app.models.review_filter import Moment
from app.models.views import Count, View

Named = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


class AuditFilter(View):
    """Which entries: those to which everything that is set applies."""

    model_config = ConfigDict(extra="forbid")

    since: Moment | None = None
    """Of this time or after it: RFC 3339, or a date, which begins in UTC."""
    action: Action | None = None
    """What was done."""
    actor: Named | None = None
    """Who did it: the id of a key, `console:` and such an id, `cli:` and a user, `system` or `nobody`."""
    subject: Named | None = None
    """To what: the id of a job, of a key, or of what else the action is about."""

    def parameters(self) -> dict[str, str]:
        """The filter as the parameters of a URL."""
        return {name: str(value) for name, value in self.model_dump(exclude_none=True).items()}

    @cached_property
    def begin(self) -> float | None:
        """`since` in seconds since 1970."""
        instant = None if self.since is None else begin_of(self.since)
        return None if instant is None else instant / NANOSECONDS


ALL_ENTRIES = AuditFilter()


class AuditEntryView(View):
    """Who did what to what, when, and from where."""

    id: Count
    """Grows in the order of the entries."""
    at: datetime
    """The database's time when it was done."""
    tenant: str
    """Whose it is; empty for what was done to the store as a whole."""
    actor: str
    """Who: the id of an API key, `console:` and the id of the key that the browser signed in with, `cli:` and the user
    of the machine, `system`, or `nobody` where no valid key was shown."""
    action: str
    """What, e.g. `job.cancel`."""
    subject: str
    """To what: the id of a job, of a key, or of what else the action is about; empty where there is none."""
    address: str
    """From which address the request came; of a command, the name of its machine."""
    request_id: str
    """X-Request-ID of the request; empty when it was none."""
    detail: dict[str, Any]
    """A few numbers and words about it. Never a secret."""


class AuditPage(View):
    """Entries in their order."""

    entries: list[AuditEntryView]
    next_cursor: str
    """Pass it as `after`, now or later, to go on behind this page."""
    more: bool
    """Whether there is more to read at once. False: ask again later."""
