"""What a caller sees when a call to Google failed, named by what it does next; and the one table that decides it.

Order of the table: details[].reason first, then the status, then the message. Sources: google/rpc/code.proto and
error_details.proto, google/api/error_reason.proto, and bodies that users of these APIs have published.
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import quote

from app.google.error_body import ErrorBody, read_error_body, retry_after_seconds

_LONGEST_MESSAGE = 600
_LONGEST_QUOTE = 300


class ErrorKind(StrEnum):
    """What the caller does next."""

    TRANSIENT = "transient"
    """Try again with backoff: the network, a server's fault, or an answer that cannot be read."""
    THROTTLED = "throttled"
    """Close the budget and wait; nothing failed."""
    NOT_APPROVED = "not_approved"
    """The Google project's quota is zero: waiting does not help."""
    NOT_ENTITLED = "not_entitled"
    """The Google project or the user's consent lacks something: every call is refused until that is mended."""
    UNAUTHENTICATED = "unauthenticated"
    """The access token is expired, revoked or wrong."""
    REFUSED = "refused"
    """Permanent, for what was asked for: the same call would be refused again."""
    PAGE_TOKEN_REFUSED = "page_token_refused"  # noqa: S105  # the name of a kind, not a secret
    """A 400 while a page token was sent: start that list again."""


class GoogleAPIError(Exception):
    """A call to Google that brought no page.

    `status` is the HTTP status (None when no answer came), `reason` a short machine word (`timeout`, `http_503`,
    `SERVICE_DISABLED`), `message` a text for people of at most 600 characters that never holds the token.
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


class _Rule(NamedTuple):
    """A row matches when every column that is filled in matches."""

    kind: ErrorKind
    reason: str = ""  # empty: the word Google used
    reasons: frozenset[str] = frozenset()
    statuses: Iterable[int] = ()
    rpc_status: str = ""
    phrase: str = ""
    page_token: bool = False
    zero_quota: bool = False
    advice: str = ""


def _words(words: str) -> frozenset[str]:
    return frozenset(_plain(word) for word in words.split())


def _plain(word: str) -> str:
    """The legacy errors[] and ErrorInfo spell one reason two ways: rateLimitExceeded, RATE_LIMIT_EXCEEDED."""
    return word.replace("_", "").lower()


_ENABLE = "Enable this API in the Google Cloud project that issued the token, wait some minutes, then submit again."
_PROJECT = (
    "Google refuses the Google Cloud project that issued the token (suspended, deleted, or its billing is off): "
    "its owner must settle that with Google."
)
_SCOPE = "Ask the user to consent again, with the scope https://www.googleapis.com/auth/business.manage."
_APPROVE = "Google gives this project no quota: apply for access to the Business Profile APIs and wait for approval."
_NEW_TOKEN = "The access token is expired, revoked or wrong: send a new one."  # noqa: S105  # advice, not a secret
_NEW_GRANT = (
    "Google says the refresh token has expired or was revoked: ask the user to consent again, then send a new one."
)
_CLIENT = "Google does not take this client_id and client_secret for this refresh token: send those it was issued to."
_MANAGER = "The token's user must be an owner or manager of what is asked for; Workspace may have switched it off."

# These reasons repeat the status and explain nothing: a page token may still be what was wrong.
_SAY_NOTHING = _words("badRequest invalid invalidArgument invalidParameter INVALID_PAGE_TOKEN invalidPageToken")

_TRANSIENT, _THROTTLED, _REFUSED = ErrorKind.TRANSIENT, ErrorKind.THROTTLED, ErrorKind.REFUSED
_NOT_ENTITLED, _UNAUTHENTICATED = ErrorKind.NOT_ENTITLED, ErrorKind.UNAUTHENTICATED
_RULES = (
    _Rule(ErrorKind.NOT_APPROVED, "not_approved", statuses=(403, 429), zero_quota=True, advice=_APPROVE),
    _Rule(_THROTTLED, "rate_limited", reasons=_words("rateLimitExceeded userRateLimitExceeded")),
    _Rule(_THROTTLED, "rate_limited", reasons=_words("quotaExceeded dailyLimitExceeded RESOURCE_QUOTA_EXCEEDED")),
    # The token endpoint's own (RFC 6749, 5.2), and those that Google's client library tries again.
    _Rule(_REFUSED, "invalid_grant", reasons=_words("invalid_grant"), advice=_NEW_GRANT),
    _Rule(_REFUSED, reasons=_words("invalid_client unauthorized_client deleted_client"), advice=_CLIENT),
    _Rule(_TRANSIENT, reasons=_words("temporarily_unavailable server_error internal_failure")),
    _Rule(_NOT_ENTITLED, reasons=_words("SERVICE_DISABLED accessNotConfigured"), advice=_ENABLE),
    _Rule(_NOT_ENTITLED, reasons=_words("CONSUMER_SUSPENDED CONSUMER_INVALID BILLING_DISABLED"), advice=_PROJECT),
    _Rule(_NOT_ENTITLED, reasons=_words("ACCESS_TOKEN_SCOPE_INSUFFICIENT insufficientPermissions"), advice=_SCOPE),
    _Rule(
        _UNAUTHENTICATED,
        "unauthenticated",
        reasons=_words("ACCESS_TOKEN_EXPIRED invalid_token authError CREDENTIALS_MISSING"),
        advice=_NEW_TOKEN,
    ),
    _Rule(_UNAUTHENTICATED, "unauthenticated", statuses=(401,), advice=_NEW_TOKEN),
    _Rule(_THROTTLED, "rate_limited", statuses=(429,)),
    _Rule(_THROTTLED, "rate_limited", statuses=range(400, 500), rpc_status="RESOURCE_EXHAUSTED"),
    _Rule(ErrorKind.PAGE_TOKEN_REFUSED, "page_token_refused", statuses=(400,), page_token=True),
    _Rule(_REFUSED, statuses=(400,), advice="Google does not accept this request; repeating it will not help."),
    _Rule(_NOT_ENTITLED, "SERVICE_DISABLED", statuses=(403,), phrase="has not been used in project", advice=_ENABLE),
    _Rule(
        _NOT_ENTITLED,
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        statuses=(403,),
        phrase="insufficient authentication scopes",
        advice=_SCOPE,
    ),
    _Rule(_REFUSED, statuses=(403,), advice=_MANAGER),
    _Rule(_REFUSED, statuses=(404,), advice="It does not exist, or the token's user may not see it."),
    _Rule(_TRANSIENT, "http_409", statuses=(409,), rpc_status="ABORTED"),
    _Rule(_REFUSED, statuses=(501, 505), advice="Google does not know this call: check GOOGLE_API_BASE_URL."),
    _Rule(_TRANSIENT, statuses=(408, 425, 499, *range(500, 600))),
    _Rule(
        _REFUSED,
        statuses=range(400, 500),
        advice="Google will not answer this request; repeating it will not help.",
    ),
    # What is left is no error and no page: a redirect that must not be followed with a token, or an empty 204.
    _Rule(_TRANSIENT, advice="Only 200 is a page; redirects are not followed. Check GOOGLE_API_BASE_URL and proxies."),
)


class Refusal(NamedTuple):
    """An answer other than 200: its status, its (bounded) body, its Retry-After header, what had been asked.

    `token`, and `secrets` besides, are what was sent along and must not be told.
    """

    status: int
    body: bytes
    retry_after: str | None
    token: str
    page_token: bool
    secrets: tuple[str, ...] = ()


def refusal_error(refusal: Refusal, now: float) -> GoogleAPIError:
    """The `GoogleAPIError` for an answer other than 200; `now` in epoch seconds, for a Retry-After that is a date."""
    said = read_error_body(refusal.body)
    rule = next(rule for rule in _RULES if _matches(rule, refusal, said))
    waits = (retry_after_seconds(refusal.retry_after, now), said.retry_delay)
    return GoogleAPIError(
        rule.kind,
        rule.reason or _reason(rule, refusal, said),
        _message(rule, refusal, said),
        status=refusal.status,
        retry_after=max((wait for wait in waits if wait is not None), default=None),
    )


def broken_answer(reason: str, what: str = "not JSON") -> GoogleAPIError:
    """A 200 whose body is no page."""
    message = f"Google's answer was {what}. The same call usually works a moment later."
    return GoogleAPIError(ErrorKind.TRANSIENT, reason, message, status=200)


def bad_request(reason: str, message: str) -> GoogleAPIError:
    """A call that cannot be made as asked."""
    return GoogleAPIError(ErrorKind.REFUSED, reason, message)


def redact(text: str, *secrets: str) -> str:
    """`text` without the secrets, whole or cut short, and without anything else that looks like a bearer token."""
    starts = {form for secret in secrets for form in (secret[:12], quote(secret[:12], safe=""))} - {""}
    patterns = [
        *(re.escape(start) + r"\S*" for start in starts),
        r"(?i:bearer)\s+[\w.~+/=-]{16,}",
        r"ya29\.\S+",
    ]
    return re.sub("|".join(patterns), "[token]", text)


def _matches(rule: _Rule, refusal: Refusal, said: ErrorBody) -> bool:
    return (
        (not rule.reasons or any(_plain(reason) in rule.reasons for reason in said.reasons))
        and (not rule.statuses or refusal.status in rule.statuses)
        and (not rule.rpc_status or said.status == rule.rpc_status)
        and (not rule.phrase or rule.phrase in said.message)
        and (not rule.page_token or (refusal.page_token and not _telling(said)))
        and (not rule.zero_quota or said.zero_quota)
    )


def _telling(said: ErrorBody) -> list[str]:
    """The reasons that say more than the status does."""
    return [reason for reason in said.reasons if _plain(reason) not in _SAY_NOTHING]


def _reason(rule: _Rule, refusal: Refusal, said: ErrorBody) -> str:
    """Google's own word when the error is permanent and it has one, else http_NNN."""
    matched = [reason for reason in said.reasons if _plain(reason) in rule.reasons]
    words = [*matched, *_telling(said), said.status] if rule.kind in (_REFUSED, _NOT_ENTITLED) else []
    usable = (word for word in words if re.fullmatch(r"[A-Za-z_]{3,64}", redact(word, refusal.token, *refusal.secrets)))
    return next(usable, f"http_{refusal.status}")


def _message(rule: _Rule, refusal: Refusal, said: ErrorBody) -> str:
    quoted = redact(_one_line(said.message), refusal.token, *refusal.secrets)[:_LONGEST_QUOTE].rstrip(". ")
    words = f'Google answered {refusal.status}: "{quoted}".' if quoted else f"Google answered {refusal.status}."
    return f"{words} {rule.advice}".strip()[:_LONGEST_MESSAGE]


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
