"""What Google is asked before a job is accepted, where VALIDATE_TOKEN_ON_SUBMIT says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from app.api.service import GrantCheck, TokenCheck
from app.google.client import GoogleAPIClient
from app.google.errors import ErrorKind, GoogleAPIError
from app.google.pages import FreshToken
from app.models.grant import RefreshGrant

CHECKS_AT_ONCE = 8
"""They share the connections to Google with the workers, whose calls must not wait for one: however many submissions
come while Google is slow, no more of them ask it."""

PATIENCE_SECONDS = 2.0
"""For one of these places. Then Google cannot be asked just now, and the job will find out."""

NO_ANSWER = FreshToken("", None, None)


class TokenChecks(TypedDict, total=False):
    """What asks Google about a token or a grant; nothing where nobody is to ask."""

    check_token: TokenCheck
    check_grant: GrantCheck


def token_checks(google: GoogleAPIClient, *, wanted: bool) -> TokenChecks:
    """Both share the places."""
    if not wanted:
        return {}
    places = asyncio.Semaphore(CHECKS_AT_ONCE)
    return {"check_token": _token_check(google, places), "check_grant": _grant_check(google, places)}


def _token_check(google: GoogleAPIClient, places: asyncio.Semaphore) -> TokenCheck:
    async def accepted(token: str) -> bool:
        async with _place(places) as has_one:
            try:
                if has_one:
                    await google.token_info(token)
            except GoogleAPIError as error:
                return error.kind is not ErrorKind.UNAUTHENTICATED
            return True

    return accepted


def _grant_check(google: GoogleAPIClient, places: asyncio.Semaphore) -> GrantCheck:
    async def fresh(grant: RefreshGrant) -> FreshToken | None:
        async with _place(places) as has_one:
            try:
                return await google.refresh(grant) if has_one else NO_ANSWER
            except GoogleAPIError as error:
                return NO_ANSWER if error.kind in (ErrorKind.TRANSIENT, ErrorKind.THROTTLED) else None

    return fresh


@asynccontextmanager
async def _place(places: asyncio.Semaphore) -> AsyncIterator[bool]:
    """Whether there was one in time; it is given back at the end."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await places.acquire()
    except TimeoutError:
        yield False
        return
    try:
        yield True
    finally:
        places.release()
