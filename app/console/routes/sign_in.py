"""Signing in with an API key, and out."""

from collections.abc import Mapping
from contextlib import suppress

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.auth import address_of, is_on_this_machine, note_refusal, origin_of
from app.api.errors import TooManyAttemptsError, UnauthenticatedError
from app.api.services import ApiServices, Services
from app.console.access import (
    CameFromElsewhereError,
    is_from_elsewhere,
    notice_openness,
    require_own_form,
    visitor_name,
)
from app.console.forms import read_form
from app.console.rendering import begin_session, forward, page
from app.console.services import BrowserSessions

router = APIRouter()

START = "/console/"

_WRONG = "This is not a valid API key. It may be mistyped, revoked or expired; `review-fetcher keys list` shows all."


@router.get("/sign-in")
async def show_sign_in(request: Request, sessions: BrowserSessions) -> Response:
    """The form. Its session is nobody's yet."""
    session = await sessions.read(request)
    if session is None:
        if is_from_elsewhere(request):
            raise CameFromElsewhereError
        session = sessions.begin(None)
        begin_session(request, session)
    return await _form(request, session.csrf, own_path(request.query_params.get("next")))


@router.post("/sign-in")
async def sign_in(request: Request, services: Services, sessions: BrowserSessions) -> Response:
    """A session for the key that was given, if it is one."""
    before = await sessions.read(request)
    await require_own_form(request, before)
    form = await read_form(request)
    key, wanted = form.get("key", "").strip(), own_path(form.get("next"))
    try:
        caller = await services.authenticator.admit(
            key or None, address=address_of(request), on_this_machine=is_on_this_machine(request)
        )
    except UnauthenticatedError:
        if key:
            await note_refusal(request, key)
        return await _form(request, form["csrf"], wanted, status=401, problem=_WRONG)
    except TooManyAttemptsError as error:
        return await _form(request, form["csrf"], wanted, status=429, problem=str(error), headers=error.headers)
    await services.audit.signed_in(caller.tenant, caller.key_id, origin_of(request, visitor_name(caller)))
    await sessions.end(before)
    begin_session(request, sessions.begin(key or None))
    return forward(request, wanted)


@router.post("/sign-out")
async def sign_out(request: Request, services: Services, sessions: BrowserSessions) -> Response:
    """The session ends, at every replica: what the browser holds afterwards is nobody's."""
    session = await sessions.read(request)
    await require_own_form(request, session)
    if session is not None and session.key is not None:
        await _note_end(request, services, session.key)
    await sessions.end(session)
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


async def _form(
    request: Request,
    csrf: str,
    wanted: str,
    *,
    status: int = 200,
    problem: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    await notice_openness(request)
    answer = page(request, "sign_in.html", status_code=status, csrf=csrf, wanted=wanted, problem=problem)
    answer.headers.update(headers or {})
    return answer
