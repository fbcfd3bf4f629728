"""Signing in with an API key, and out."""

from contextlib import suppress

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.auth import is_on_this_machine, note_refusal, origin_of
from app.api.errors import UnauthenticatedError
from app.api.services import ApiServices, Services
from app.console.access import CameFromElsewhereError, is_from_elsewhere, require_own_form, visitor_name
from app.console.forms import read_form
from app.console.rendering import begin_session, forward, page
from app.console.services import BrowserSessions

router = APIRouter()

START = "/console/"


@router.get("/sign-in")
async def show_sign_in(request: Request, sessions: BrowserSessions) -> Response:
    """The form. Its session is nobody's yet."""
    session = sessions.read(request)
    if session is None:
        if is_from_elsewhere(request):
            raise CameFromElsewhereError
        session = sessions.begin(None)
        begin_session(request, session)
    return _form(request, session.csrf, own_path(request.query_params.get("next")))


@router.post("/sign-in")
async def sign_in(request: Request, services: Services, sessions: BrowserSessions) -> Response:
    """A session for the key that was given, if it is one."""
    before = sessions.read(request)
    await require_own_form(request, before)
    form = await read_form(request)
    key, wanted = form.get("key", "").strip(), own_path(form.get("next"))
    try:
        caller = await services.authenticator.authenticate(key or None, on_this_machine=is_on_this_machine(request))
    except UnauthenticatedError:
        await note_refusal(request, key)
        problem = "This is not a valid API key. It may be mistyped or revoked; `review-fetcher keys list` shows all."
        return _form(request, form["csrf"], wanted, status=401, problem=problem)
    await services.audit.signed_in(caller.tenant, caller.key_id, origin_of(request, visitor_name(caller)))
    begin_session(request, sessions.begin(key or None))
    return forward(request, wanted)


@router.post("/sign-out")
async def sign_out(request: Request, services: Services, sessions: BrowserSessions) -> Response:
    """The session ends: what the browser holds afterwards is nobody's."""
    session = sessions.read(request)
    await require_own_form(request, session)
    if session is not None and session.key is not None:
        await _note_end(request, services, session.key)
    begin_session(request, sessions.begin(None))
    return forward(request, "/console/sign-in")


async def _note_end(request: Request, services: ApiServices, key: str) -> None:
    """A key that was revoked meanwhile has ended the session before."""
    with suppress(UnauthenticatedError):
        caller = await services.authenticator.authenticate(key, on_this_machine=False)
        await services.audit.signed_out(caller.tenant, caller.key_id, origin_of(request, visitor_name(caller)))


def own_path(wanted: str | None) -> str:
    """Where to go after the sign-in: only ever to a page of the console."""
    path = wanted or START
    local = path.startswith(START) and path.isascii() and path.isprintable() and "\\" not in path
    return path if local and "/../" not in path and "//" not in path.partition("?")[0] else START


def _form(request: Request, csrf: str, wanted: str, *, status: int = 200, problem: str | None = None) -> Response:
    return page(request, "sign_in.html", status_code=status, csrf=csrf, wanted=wanted, problem=problem)
