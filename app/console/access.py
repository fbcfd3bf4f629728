"""Session → API key → tenant → scopes. Every page but the sign-in depends on one of the visitors below."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from fastapi import Depends, Request

from app.api.auth import Caller, is_on_this_machine, name_in_log, origin_of
from app.api.authenticator import Authenticator
from app.api.errors import ScopeMissingError, UnauthenticatedError
from app.api.services import services_of
from app.console.forms import read_form
from app.console.services import sessions_of
from app.console.sessions import Session, Sessions
from app.models.access import Scope
from app.models.audit import NOBODY, Origin
from app.store.database import StoreUnavailableError


class SignInNeededError(Exception):
    """Sign in with an API key. The session has ended, or its key was revoked."""


class CameFromElsewhereError(Exception):
    """The link was on another site's page: the browser keeps the session back until this page asks again."""


class ForgedFormError(Exception):
    """The form does not come from a page of this session. Nothing was done. Load the page again and repeat it."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page. `open`: nobody had to sign in, because there are no keys. `right`: whether that still holds,
    to be asked by what answers for long."""

    caller: Caller
    session: Session
    open: bool
    right: Callable[[], Awaitable[bool]]
    origin: Origin

    @property
    def tenant(self) -> str:
        """Whose data every page shows."""
        return self.caller.tenant

    @property
    def may_submit(self) -> bool:
        return self.caller.may(Scope.SUBMIT)

    @property
    def may_operate(self) -> bool:
        return self.caller.may(Scope.OPERATE)

    @property
    def may_administer(self) -> bool:
        return self.caller.may(Scope.ADMIN)


def visitor_name(caller: Caller) -> str:
    """The actor in the audit log who acts in a browser."""
    return f"console:{caller.key_id or NOBODY}"


class Visit:
    """Lets a browser in whose session's key has `scope`, and says who it is.

    Raises SignInNeededError, ScopeMissingError, and StoreUnavailableError if the key cannot be looked up.
    """

    def __init__(self, scope: Scope | None) -> None:
        self._scope = scope

    async def __call__(self, request: Request) -> Visitor:
        sessions = sessions_of(request)
        found = await sessions.read(request)
        if found is None and is_from_elsewhere(request):
            raise CameFromElsewhereError
        session = found or sessions.begin(None)
        authenticator, local = services_of(request).authenticator, is_on_this_machine(request)
        try:
            caller = await authenticator.authenticate(session.key, on_this_machine=local)
        except UnauthenticatedError:
            raise SignInNeededError from None
        request.state.new_session = session if found is None else sessions.renewed(found)
        right = partial(_still, authenticator, sessions, session, on_this_machine=local)
        origin = origin_of(request, visitor_name(caller))
        visitor = Visitor(caller, session, open=session.key is None, right=right, origin=origin)
        request.state.visitor = visitor
        name_in_log(caller)
        if not caller.may(self._scope):
            raise ScopeMissingError(f"{ScopeMissingError.__doc__} Scope: {self._scope}")
        return visitor


async def _still(authenticator: Authenticator, sessions: Sessions, session: Session, *, on_this_machine: bool) -> bool:
    """Whether who was let in would be let in again."""
    return await sessions.goes_on(session) and await authenticator.still_admits(
        session.key, on_this_machine=on_this_machine
    )


class Act(Visit):
    """The same for a form that does something: it must come from a page of this session."""

    async def __call__(self, request: Request) -> Visitor:
        visitor = await super().__call__(request)
        await require_own_form(request, visitor.session)
        return visitor


async def require_own_form(request: Request, session: Session | None) -> None:
    """Raises ForgedFormError unless the form's token is that of the session."""
    form = await read_form(request)
    if session is None or not session.allows(form.get("csrf")):
        raise ForgedFormError


async def notice_openness(request: Request) -> None:
    """For a page that is shown to whoever comes: it says too that nobody needs a key, if that is so."""
    try:
        is_open = is_on_this_machine(request) and await services_of(request).authenticator.is_open()
    except StoreUnavailableError:
        is_open = False
    request.state.open = is_open


def is_from_elsewhere(request: Request) -> bool:
    """Whether a link on a page of another site led here: a cookie that is SameSite=Strict does not come along."""
    return request.method == "GET" and request.headers.get("sec-fetch-site") == "cross-site"


Reader = Annotated[Visitor, Depends(Visit(Scope.READ))]
Submitter = Annotated[Visitor, Depends(Visit(Scope.SUBMIT))]
Administrator = Annotated[Visitor, Depends(Visit(Scope.ADMIN))]
SubmittingForm = Annotated[Visitor, Depends(Act(Scope.SUBMIT))]
OperatingForm = Annotated[Visitor, Depends(Act(Scope.OPERATE))]
