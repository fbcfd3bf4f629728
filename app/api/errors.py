"""Which error becomes which status: one table, the only place in which the two meet."""

import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from math import ceil
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.api.problems import Problem
from app.api.rate_limits import limit_headers
from app.api.surface import no_such_path
from app.ingest.errors import BufferFullError, NotAnsweredError, StoppingError, SubmitLimitError
from app.models.errors import (
    BadCursorError,
    DeadLetterNotFoundError,
    ErasureNotFoundError,
    IllegalTransitionError,
    JobNotEndedError,
    JobNotFoundError,
    KeyEndedError,
    KeyNotFoundError,
    TooManyStreamsError,
    WebhookNotFoundError,
)
from app.results.parquet import ParquetMissingError
from app.store.database import StoreUnavailableError


class UnauthenticatedError(Exception):
    """Send a valid API key in the header X-API-Key, or as Authorization: Bearer. The command
    `review-fetcher keys create` makes one. Without any key the service answers local callers in development only."""


class TooManyAttemptsError(Exception):
    """Too many wrong API keys came from this address. Try again after Retry-After seconds, with a valid key."""

    def __init__(self, seconds: float) -> None:
        super().__init__(TooManyAttemptsError.__doc__)
        self.headers = {"Retry-After": str(max(1, math.ceil(seconds)))}


class ScopeMissingError(Exception):
    """This API key does not have the scope that the request needs. Use a key that has it."""


class TokenRefusedError(Exception):
    """Google does not accept this access token, or gives none for this grant. Get a new one and submit again."""


class BrokenOffError(StoppingError):
    """The service stops, and has broken this request off: if it was to change something, whether it did is not known.
    Look, or send it again after the seconds in Retry-After. A submission with the same Idempotency-Key cannot become a
    second job."""


class IdempotencyKeyReusedError(Exception):
    """This Idempotency-Key was used within 24 hours for another body. Use a new key for a new request."""


class BodyTooLargeError(Exception):
    """The body is over 64 KiB. Nothing that this API takes is that long."""


class BodyTooSlowError(Exception):
    """The body did not arrive in time. Send it again at once."""


class NotJsonError(Exception):
    """The body must be JSON in UTF-8, not compressed. Send it with the one header Content-Type: application/json."""


class NotReadyError(Exception):
    """The service cannot do its work just now; `checks` says which part of it. It goes on by itself."""

    def __init__(self, checks: Mapping[str, str]) -> None:
        self.checks = dict(checks)


@dataclass(frozen=True, slots=True)
class Kind:
    """How an error is told: `type` word, status, title, headers. `quoted`: its own message is meant for the caller."""

    word: str
    status: int
    title: str
    headers: Mapping[str, str] = field(default_factory=dict)
    quoted: bool = False


_SOON = {"Retry-After": "1"}
_LATER = {"Retry-After": "5"}
_CLOSE = {"Connection": "close"}
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="review-fetcher"'}

ERRORS: dict[type[Exception], Kind] = {
    UnauthenticatedError: Kind("unauthenticated", 401, "No valid API key", _CHALLENGE),
    TooManyAttemptsError: Kind("too-many-attempts", 429, "Too many wrong API keys"),
    ScopeMissingError: Kind("scope-missing", 403, "The API key lacks a scope", quoted=True),
    TokenRefusedError: Kind("token-refused", 401, "Google refuses the access token", _CHALLENGE),
    JobNotFoundError: Kind("job-not-found", 404, "No such job"),
    DeadLetterNotFoundError: Kind("dead-letter-not-found", 404, "No such dead letter"),
    KeyNotFoundError: Kind("key-not-found", 404, "No such API key"),
    KeyEndedError: Kind("key-ended", 409, "The API key has ended", quoted=True),
    WebhookNotFoundError: Kind("webhook-not-found", 404, "No such message"),
    ErasureNotFoundError: Kind("erasure-not-found", 404, "No such erasure"),
    JobNotEndedError: Kind("job-not-ended", 409, "The job has not ended", quoted=True),
    IllegalTransitionError: Kind("illegal-transition", 409, "Not in this state", quoted=True),
    BodyTooSlowError: Kind("body-too-slow", 408, "The body came too slowly", _CLOSE),
    ClientDisconnect: Kind("body-cut", 400, "The body was cut", _CLOSE),
    BodyTooLargeError: Kind("body-too-large", 413, "The body is too large", _CLOSE),
    NotJsonError: Kind("not-json", 415, "The body is not JSON", _CLOSE),
    BadCursorError: Kind("bad-cursor", 422, "Not a cursor of this listing"),
    IdempotencyKeyReusedError: Kind("idempotency-key-reused", 422, "The Idempotency-Key is taken"),
    ParquetMissingError: Kind("parquet-missing", 501, "Parquet is not installed"),
    SubmitLimitError: Kind("submit-limit", 429, "Over a limit of the tenant", quoted=True),
    BufferFullError: Kind("busy", 429, "Too many jobs are waiting", _SOON),
    TooManyStreamsError: Kind("streams-busy", 503, "Too many streams", _LATER),
    StoppingError: Kind("stopping", 503, "The service is stopping", _LATER),
    NotAnsweredError: Kind("store-slow", 503, "The store does not answer", _LATER),
    StoreUnavailableError: Kind("store-unavailable", 503, "The store is away", _LATER),
}

_STORE_AWAY = (
    "The database does not answer. Nothing was done, unless it went away in the very moment of the commit. Send the "
    "request again after Retry-After seconds, with the same Idempotency-Key if it had one: then it cannot become a "
    "second job."
)


def problem_of(error: Exception) -> Problem:
    """The problem that an error of the table is told as."""
    kind, detail = explained(error)
    return Problem(kind.word, kind.status, kind.title, detail, headers=headers_of(error, kind))


def headers_of(error: Exception, kind: Kind) -> dict[str, str]:
    """Those of every error of the kind, and those of this one."""
    return {**kind.headers, **getattr(error, "headers", {}), **_limits(error)}


def _limits(error: Exception) -> dict[str, str]:
    if not isinstance(error, SubmitLimitError):
        return {}
    return {"Retry-After": str(max(1, ceil(error.retry_after)))} | limit_headers(error.limits)


def explained(error: Exception) -> tuple[Kind, str]:
    """An error of the table, and what to tell about this one."""
    kind = next(ERRORS[base] for base in type(error).__mro__ if base in ERRORS)
    return kind, _detail(error, kind)


def _detail(error: Exception, kind: Kind) -> str:
    """A message may hold what is nobody's business (a database's address), so the docstring speaks, unless `quoted`."""
    if isinstance(error, StoreUnavailableError):
        return _STORE_AWAY
    if isinstance(error, ClientDisconnect):
        return "The connection ended before the body did. Send the request again."
    return str(error) if kind.quoted and error.args else " ".join((type(error).__doc__ or "").split())


async def _known(_request: Request, error: Exception) -> Problem:
    return problem_of(error)


async def _not_ready(_request: Request, error: Exception) -> Problem:
    checks = error.checks if isinstance(error, NotReadyError) else {}
    detail = " ".join((NotReadyError.__doc__ or "").split())
    return Problem("not-ready", 503, "Not ready", detail, headers=_LATER, checks=checks)


async def _invalid(_request: Request, error: Exception) -> Problem:
    return invalid(error.errors() if isinstance(error, RequestValidationError) else ())


def invalid(errors: Iterable[Mapping[str, Any]]) -> Problem:
    """422 from pydantic's errors. Says where and what, never what was sent."""
    told = [
        {"field": _place(error["loc"]), "message": str(error["msg"]).removeprefix("Value error, ")} for error in errors
    ]
    detail = "Correct what `errors` names and send the request again."
    return Problem("invalid-request", 422, "The request is not understood", detail, errors=told)


_ORDINARY_NAME = re.compile(r"[a-z_]{1,40}")


def _place(location: Sequence[str | int]) -> str:
    """`body.access_token`. A name that is the caller's own is told only if it cannot be a secret in a wrong place."""
    parts = [str(part) for part in location]
    ordinary = [part if part.isdecimal() or _ORDINARY_NAME.fullmatch(part.lower()) else "(unknown)" for part in parts]
    return ".".join(ordinary) or "body"


async def _http(request: Request, error: Exception) -> Problem:
    """What the framework itself refuses: paths and methods."""
    status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
    if status is HTTPStatus.NOT_FOUND:
        return no_such_path()
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_methods_at(request))
        detail = f"This path takes {allowed}. See /openapi.json."
        return Problem("method-not-allowed", 405, "Method not allowed", detail, headers={"Allow": allowed})
    return Problem("refused", status, status.phrase, "See /openapi.json for what this path takes.")


def _methods_at(request: Request) -> list[str]:
    """Of all routes with this path; the framework names those of the first."""
    paths = request.app.openapi()["paths"]
    for path, operations in {request.url.path: paths.get(request.url.path, {}), **paths}.items():
        if operations and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.url.path):
            return sorted(method.upper() for method in operations)
    return ["GET"]


def unexpected() -> Problem:
    """The last resort. What happened is in the log, under the id of the request."""
    detail = "This is a fault of the service. Try again later; if it stays, report it with the header X-Request-ID."
    return Problem("internal", 500, "Unexpected error", detail)


def install(app: FastAPI) -> None:
    """Answer every error with a problem."""
    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Problem]]] = dict.fromkeys(ERRORS, _known)
    handlers |= {RequestValidationError: _invalid, HTTPException: _http, NotReadyError: _not_ready}
    for error, handler in handlers.items():
        app.add_exception_handler(error, handler)
