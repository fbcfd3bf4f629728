"""Errors as pages: the API's own table says which status and which words, a page shows them."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlsplit

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.api.errors import ERRORS, explained
from app.console.access import CameFromElsewhereError, ForgedFormError, SignInNeededError, notice_openness
from app.console.forms import NotUnderstoodError
from app.console.rendering import forward, page
from app.store.database import StoreUnavailableError

SIGN_IN = "/console/sign-in"

Handler = Callable[[Request, Exception], Awaitable[Response]]

_STORE_AWAY = (
    "The database does not answer, so there is nothing to show. Work that was accepted goes on by itself when it is "
    "back. If you sent a form, look then whether it was done: it may have been, in the very moment."
)


async def _known(request: Request, error: Exception) -> Response:
    kind, detail = explained(error)
    told = _STORE_AWAY if isinstance(error, StoreUnavailableError) else detail
    return error_page(request, kind.status, kind.title, told)


def _knowing(handler: Handler) -> Handler:
    """Pages for errors say too that nobody needs a key, if that is so."""

    async def handle(request: Request, error: Exception) -> Response:
        await notice_openness(request)
        return await handler(request, error)

    return handle


def error_page(request: Request, status: int, title: str, detail: str) -> Response:
    """A page that says what is wrong and where to go on."""
    return page(request, "error.html", status_code=status, title=title, detail=detail, back=_way_back(request))


def _way_back(request: Request) -> tuple[str, str] | None:
    """Address and words. A page that could not be shown is worth a second try, a form its page."""
    if request.method == "GET":
        return None
    job_id = request.path_params.get("job_id")
    return (f"/console/jobs/{quote(job_id)}", "Back to the job") if job_id else (request.url.path, "Back to the form")


async def _sign_in(request: Request, _error: Exception) -> Response:
    """To the sign-in, and from there to the page that was wanted; a script is told to take its page there."""
    if request.headers.get("hx-request"):
        wanted = urlsplit(request.headers.get("hx-current-url", ""))
        return Response(status_code=401, headers={"HX-Redirect": sign_in_address(wanted.path, wanted.query)})
    if request.method != "GET":
        detail = "Your session has ended, so nothing was done. Sign in and send the form again."
        back = (SIGN_IN, "Go to the sign-in")
        return page(request, "error.html", status_code=401, title="Signed out", detail=detail, back=back)
    return forward(request, sign_in_address(request.url.path, request.url.query))


def sign_in_address(path: str, query: str) -> str:
    """The sign-in that leads back to a page."""
    wanted = f"{path}?{query}" if query else path
    return f"{SIGN_IN}?next={quote(wanted, safe='/')}" if path.startswith("/console/") else SIGN_IN


async def _from_elsewhere(request: Request, _error: Exception) -> Response:
    return page(request, "from_elsewhere.html")


async def _forged(request: Request, error: Exception) -> Response:
    return error_page(request, 403, "The form is too old", " ".join((type(error).__doc__ or "").split()))


async def _invalid(request: Request, _error: Exception) -> Response:
    detail = "The address names a filter or a page that does not exist. Go back and choose again."
    return error_page(request, 422, "Not understood", detail)


async def _http(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        return error_page(request, 405, "Not this way", "This address takes forms of the console's own pages.")
    return error_page(request, 404, "Nothing here", "There is no such page. It may have been moved or never existed.")


async def _unexpected(request: Request, _error: Exception) -> Response:
    number = structlog.contextvars.get_contextvars().get("request_id", "")
    detail = f"This is a fault of the service. Try again later; if it stays, report it with the number {number}."
    return error_page(request, 500, "Unexpected error", detail)


def install(console: FastAPI) -> None:
    """Answer every error with a page."""
    handlers: dict[type[Exception], Handler] = dict.fromkeys(ERRORS, _known)
    handlers |= {
        SignInNeededError: _sign_in,
        CameFromElsewhereError: _from_elsewhere,
        ForgedFormError: _forged,
        RequestValidationError: _invalid,
        NotUnderstoodError: _invalid,
        HTTPException: _http,
        Exception: _unexpected,
    }
    for error, handler in handlers.items():
        console.add_exception_handler(error, _knowing(handler))
