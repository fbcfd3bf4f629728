"""What the pages work with: the API's services, and the sessions of browsers."""

from typing import Annotated

from fastapi import Depends, FastAPI, Request

from app.api.services import ApiServices, set_services
from app.console.sessions import Sessions


def set_console_services(console: FastAPI, services: ApiServices, sessions: Sessions) -> None:
    """Before the first request: makes them available to the pages."""
    set_services(console, services)
    console.state.sessions = sessions


def sessions_of(request: Request) -> Sessions:
    sessions: Sessions = request.app.state.sessions
    return sessions


async def _get_sessions(request: Request) -> Sessions:
    """Not plain: the framework calls plain functions in a thread."""
    return sessions_of(request)


BrowserSessions = Annotated[Sessions, Depends(_get_sessions)]
