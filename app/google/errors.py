"""What a caller sees when a call to Google failed, named by what it does next."""

from enum import StrEnum


class ErrorKind(StrEnum):
    """What the caller does next."""

    TRANSIENT = "transient"
    """Try again with backoff: the network, a server's fault, or an answer that cannot be read."""
    THROTTLED = "throttled"
    """Close the budget and wait; nothing failed."""
    NOT_APPROVED = "not_approved"
    """The Google project's quota is zero: waiting does not help."""
    UNAUTHENTICATED = "unauthenticated"
    """The access token is expired, revoked or wrong."""
    REFUSED = "refused"
    """Permanent: the same call would be refused again."""
    PAGE_TOKEN_REFUSED = "page_token_refused"  # noqa: S105 - the name of a kind, not a secret
    """A 400 while a page token was sent: start that list again."""


class GoogleError(Exception):
    """A call to Google that brought no page.

    `status` is the HTTP status (None when no answer came), `reason` a short machine word (`timeout`, `http_503`,
    `SERVICE_DISABLED`), `message` a sentence for people, at most 600 characters, never holding the token.
    `retry_after` is what Google asked for in seconds, not capped; None when it asked for nothing.
    """

    def __init__(
        self,
        kind: ErrorKind,
        reason: str,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.message = message
        self.status = status
        self.retry_after = retry_after
