"""Whose quota a token spends: one question a token."""

import asyncio
from typing import Any

import pytest

from app.google.errors import ErrorKind, GoogleAPIError
from app.google.pages import TokenInfo
from app.pipeline.owners import Owner, TokenOwners
from tests.support.clock import ManualClock
from tests.unit.pipeline.stage import held


class Google:
    """Answers tokeninfo with what the test gives, in turn, when it says so."""

    def __init__(self, *answers: TokenInfo | GoogleAPIError) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.go = asyncio.Event()
        self.go.set()

    async def token_info(self, _token: str) -> TokenInfo:
        self.asked += 1
        await self.go.wait()
        answer = self.answers.pop(0)
        if isinstance(answer, GoogleAPIError):
            raise answer
        return answer


def owners(google: Any) -> TokenOwners:
    return TokenOwners(google, ManualClock())


async def test_tasks_that_need_it_at_the_same_time_ask_once() -> None:
    google = Google(TokenInfo("42", 3600))
    google.go.clear()
    known = owners(google)
    asking = [asyncio.ensure_future(known.of(held(), "token")) for _ in range(5)]
    await asyncio.sleep(0)
    google.go.set()
    answers = await asyncio.gather(*asking)
    assert {owner.project for owner, _ in answers} == {"42"}
    assert [asked for _, asked in answers].count(True) == google.asked == 1


async def test_another_token_of_the_job_is_asked_about_anew() -> None:
    known = owners(Google(TokenInfo("42", None), TokenInfo("43", None)))
    assert await known.of(held(credential_version=1), "token") == (Owner("42", None), True)
    assert await known.of(held(credential_version=2), "newer") == (Owner("43", None), True)


async def test_what_google_does_not_tell_is_the_default() -> None:
    away = GoogleAPIError(ErrorKind.TRANSIENT, "http_503", "Google answered 503.", status=503)
    assert (await owners(Google(away)).of(held(), "token"))[0] == Owner("default", None)


async def test_a_refusal_is_told_to_everybody_and_not_remembered() -> None:
    refused = GoogleAPIError(ErrorKind.UNAUTHENTICATED, "unauthenticated", "No.", status=401)
    known = owners(Google(refused, TokenInfo("42", None)))
    with pytest.raises(GoogleAPIError):
        await known.of(held(), "token")
    assert (await known.of(held(), "token"))[0].project == "42"
