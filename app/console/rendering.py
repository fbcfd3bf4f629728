"""From a template to an answer. Every value is escaped, and a name that a template misspells is an error."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.api.headers import PAGE_HEADERS
from app.console.assets import address_of
from app.console.formats import FILTERS, percent
from app.console.services import sessions_of
from app.console.sessions import Session, is_https

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Nothing of a page runs or loads but the files that come with it."""

HEADERS = {"Content-Security-Policy": POLICY, **PAGE_HEADERS}

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(FILTERS)
_environment.globals.update(asset=address_of, percent=percent)


def page(request: Request, template: str, *, status_code: int = 200, **shown: Any) -> Response:
    """A page, in the frame of who looks at it."""
    visitor = getattr(request.state, "visitor", None)
    is_open = visitor.open if visitor else getattr(request.state, "open", False)
    context = {"visitor": visitor, "open": is_open, "path": request.url.path, "version": request.app.version, **shown}
    text = _environment.get_template(template).render(context)
    # Half a surrogate pair has no bytes in UTF-8; a page must not fail for what a review holds.
    response = Response(text.encode("utf-8", "replace"), status_code, HEADERS, "text/html; charset=utf-8")
    return _with_new_session(request, response)


def forward(request: Request, path: str) -> Response:
    """After a form did what it says: the page to look at, which may be loaded again."""
    return _with_new_session(request, RedirectResponse(path, 303))


def begin_session(request: Request, session: Session) -> None:
    """The answer to this request gives the browser this session."""
    request.state.new_session = session


def _with_new_session(request: Request, response: Response) -> Response:
    session = getattr(request.state, "new_session", None)
    if session is not None:
        sessions_of(request).write(response, session, secure=is_https(request))
    return response
