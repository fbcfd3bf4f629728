"""What a caller may give so that a job's access token is renewed for as long as the job takes."""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Self

LEAD_SECONDS = 225.0
"""An access token is renewed so long before it expires, as by Google's own client library (google-auth)."""

LEAD_SHARE = 0.25
"""Of a short life no more than this: a token that lives for less than the lead must not be renewed all the time."""


@dataclass(frozen=True, slots=True)
class RefreshGrant:
    """A refresh token and the OAuth client that it was issued to. All of it is secret."""

    refresh_token: str = field(repr=False)
    client_id: str = field(repr=False)
    client_secret: str = field(repr=False)

    def renewed(self, refresh_token: str | None) -> "RefreshGrant":
        """After a use of it: with the refresh token that Google gave in its place (None: it is good as before)."""
        return replace(self, refresh_token=refresh_token or self.refresh_token)

    def to_text(self) -> str:
        """What `from_text` reads: to be sealed."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        return cls(**json.loads(text))


def refresh_due_at(expires_at: float | None, refreshed_at: float | None) -> float:
    """When an access token is to be renewed, in seconds since 1970; never by time when its end is not known.

    `refreshed_at` is when Google gave it, for one that was renewed before: its whole life is known then.
    """
    if expires_at is None:
        return float("inf")
    lead = LEAD_SECONDS if refreshed_at is None else min(LEAD_SECONDS, LEAD_SHARE * (expires_at - refreshed_at))
    return expires_at - lead
