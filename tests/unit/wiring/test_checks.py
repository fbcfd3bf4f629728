"""Submissions that ask Google first do not take its connections from the workers, however slow it is."""

import asyncio
from typing import Any, cast

import pytest

from app.google.errors import ErrorKind, GoogleAPIError
from app.google.pages import FreshToken
from app.models.grant import RefreshGrant
from app.wiring import checks
from app.wiring.checks import CHECKS_AT_ONCE, NO_ANSWER, token_checks
from tests.support.clock import settle_loop

GRANT = RefreshGrant("1//refresh", "client", "secret")


class SlowGoogle:
    """Answers nobody before `answer` is set; then with `error`, or well."""

    def __init__(self, error: GoogleAPIError | None = None) -> None:
        self.answer = asyncio.Event()
        self.error = error
        self.asking = 0

    async def _asked(self) -> None:
        self.asking += 1
        await self.answer.wait()
        if self.error is not None:
            raise self.error

    async def token_info(self, _token: str) -> None:
        await self._asked()

    async def refresh(self, _grant: RefreshGrant) -> FreshToken:
        await self._asked()
        return FreshToken("ya29.fresh", 3599, None)


def both(google: SlowGoogle) -> Any:
    made = token_checks(cast(Any, google), wanted=True)
    return made["check_token"], made["check_grant"]


async def test_nobody_is_asked_where_nobody_wants_it() -> None:
    assert token_checks(cast(Any, SlowGoogle()), wanted=False) == {}


async def test_of_many_submissions_a_few_ask_and_the_others_are_taken_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PATIENCE_SECONDS", 0.05)
    google = SlowGoogle()
    check_token, check_grant = both(google)
    asking = [asyncio.create_task(check_token("ya29.token")) for _ in range(CHECKS_AT_ONCE - 1)]
    asking.append(asyncio.create_task(check_grant(GRANT)))
    await settle_loop()
    assert await check_token("ya29.late") is True
    assert await check_grant(GRANT) == NO_ANSWER
    assert google.asking == CHECKS_AT_ONCE
    google.answer.set()
    assert await asyncio.gather(*asking) == [True] * (CHECKS_AT_ONCE - 1) + [FreshToken("ya29.fresh", 3599, None)]
    await check_token("ya29.next")
    assert google.asking == CHECKS_AT_ONCE + 1, "the places are free again"


@pytest.mark.parametrize(
    ("kind", "token", "grant"),
    [
        (ErrorKind.UNAUTHENTICATED, False, None),
        (ErrorKind.TRANSIENT, True, NO_ANSWER),
        (ErrorKind.THROTTLED, True, NO_ANSWER),
        (ErrorKind.REFUSED, True, None),
    ],
)
async def test_only_what_google_refuses_is_refused(kind: ErrorKind, token: bool, grant: FreshToken | None) -> None:
    google = SlowGoogle(GoogleAPIError(kind, "why", "Google said so."))
    google.answer.set()
    check_token, check_grant = both(google)
    for _ in range(2 * CHECKS_AT_ONCE):
        assert await check_token("ya29.token") is token
        assert await check_grant(GRANT) == grant
