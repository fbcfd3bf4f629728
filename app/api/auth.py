"""API key → tenant → scopes. `Access` is the one dependency of every route that is not in `OPEN_ROUTES`."""

import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import structlog
from fastapi import Depends, Request, Security
from fastapi.openapi.models import APIKey, APIKeyIn
from fastapi.security.base import SecurityBase

from app.api.errors import ScopeMissingError, UnauthenticatedError
from app.api.known_query import refuse_unknown_query
from app.models.access import Scope
from app.models.audit import NOBODY, SYSTEM, Origin
from app.store.keys import prefix_of

if TYPE_CHECKING:
    from app.api.authenticator import Authenticator  # it makes callers

OPEN_ROUTES = {
    "/livez": "an orchestrator asks it without a key, and learns only that the process answers",
    "/readyz": "an orchestrator asks it without a key, and learns which part is away, nothing of any tenant",
    "/api/v1/health": "a load balancer asks it without a key, and learns only how busy the service is",
}
"""Routes without an API key, each with its reason."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: every row that a request may touch is this tenant's.

    `key_id`: the prefix of a stored key, `env-` and the first 8 digits of its hash for one of API_KEYS; None for a
    caller of this machine who needs none.
    """

    tenant: str
    scopes: frozenset[Scope]
    key_id: str | None = None
    origin: Origin = SYSTEM

    def may(self, scope: Scope | None) -> bool:
        return scope is None or scope in self.scopes or Scope.ADMIN in self.scopes


class Access(SecurityBase):
    """Lets a request in whose API key has `scope` (None: any valid key), and says who calls."""

    def __init__(self, scope: Scope | None) -> None:
        self.model = APIKey.model_validate({"in": APIKeyIn.header, "name": "X-API-Key"})
        self.scheme_name = "ApiKey"
        self._scope = scope

    async def __call__(self, request: Request) -> Caller:
        authenticator: Authenticator = request.app.state.services.authenticator
        key = presented_key(request)
        local = key is None and is_on_this_machine(request)
        try:
            caller = await authenticator.admit(key, address=address_of(request), on_this_machine=local)
        except UnauthenticatedError:
            if key is not None:
                await note_refusal(request, key)
            raise
        name_in_log(caller)
        caller = replace(caller, origin=origin_of(request, caller.key_id or NOBODY))
        if not caller.may(self._scope):
            raise ScopeMissingError(f"{ScopeMissingError.__doc__} Scope: {self._scope}")
        refuse_unknown_query(request)
        return caller


def origin_of(request: Request, actor: str) -> Origin:
    """Who did what a request does, for the audit log."""
    request_id = str(structlog.contextvars.get_contextvars().get("request_id", ""))
    return Origin(actor, address_of(request) or "", request_id)


async def note_refusal(request: Request, key: str) -> None:
    """A wrong key was shown: that is written down, unless it happens too often."""
    await request.app.state.services.audit.refused(prefix_of(key), origin_of(request, NOBODY))


def name_in_log(caller: Caller) -> None:
    """Every line that is logged for this request says who asks."""
    named = {"tenant": caller.tenant} | ({"key": caller.key_id} if caller.key_id else {})
    structlog.contextvars.bind_contextvars(**named)


def address_of(request: Request) -> str | None:
    """Where the request comes from."""
    return request.client.host if request.client else None


async def _get_right(request: Request) -> Callable[[], Awaitable[bool]]:
    """Whether the caller of a long answer would still be let in, however much later."""
    authenticator: Authenticator = request.app.state.services.authenticator
    key = presented_key(request)
    local = key is None and is_on_this_machine(request)
    return partial(authenticator.still_admits, key, on_this_machine=local)


Right = Annotated[Callable[[], Awaitable[bool]], Depends(_get_right)]


def presented_key(request: Request) -> str | None:
    """X-API-Key, or the bearer of Authorization."""
    key = request.headers.get("x-api-key")
    if key is not None:
        return key
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else None


_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")


def is_on_this_machine(request: Request) -> bool:
    """Whether a program of this machine calls directly: not by a proxy, and not a web page of elsewhere.

    The name in Host keeps out a page whose name was made to resolve to this machine (DNS rebinding), Sec-Fetch-Site
    one that sends a form here.
    """
    headers = request.headers
    if "forwarded" in headers or "x-forwarded-for" in headers or headers.get("sec-fetch-site") == "cross-site":
        return False
    host = headers.get("host", "").lower()
    named_locally = any(host == name or host.startswith(f"{name}:") for name in _LOCAL_NAMES)
    return named_locally and request.client is not None and _is_loopback(request.client.host)


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _with(scope: Scope | None) -> object:
    return Security(Access(scope), scopes=[scope.value] if scope else [])


AnyCaller = Annotated[Caller, _with(None)]
Submitter = Annotated[Caller, _with(Scope.SUBMIT)]
Reader = Annotated[Caller, _with(Scope.READ)]
Operator = Annotated[Caller, _with(Scope.OPERATE)]
Administrator = Annotated[Caller, _with(Scope.ADMIN)]
