"""Whose quota a token spends: one question a token."""

import asyncio
from typing import Any

import pytest

from app.google.errors import ErrorKind, GoogleAPIError
from app.google.pages import TokenInfo
from app.pipeline.owners import ASK_AGAIN_SECONDS, MOST_KNOWN, Owner, TokenOwners
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


AWAY = GoogleAPIError(ErrorKind.TRANSIENT, "http_503", "Google answered 503.", status=503)
BUSY = GoogleAPIError(ErrorKind.THROTTLED, "http_429", "Too many requests.", status=429)


def owners(google: Any, clock: ManualClock | None = None) -> TokenOwners:
    return TokenOwners(google, clock or ManualClock())


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


@pytest.mark.parametrize(
    "answer", [TokenInfo(None, None), GoogleAPIError(ErrorKind.REFUSED, "http_404", "Not here.", status=404)]
)
async def test_what_google_will_not_tell_is_the_default(answer: TokenInfo | GoogleAPIError) -> None:
    assert (await owners(Google(answer)).of(held(), "token"))[0] == Owner("default", None)


@pytest.mark.parametrize("failure", [AWAY, BUSY])
async def test_what_google_could_not_tell_is_asked_again_after_a_pause(failure: GoogleAPIError) -> None:
    clock = ManualClock()
    google = Google(failure, TokenInfo("42", None))
    known = owners(google, clock)
    assert await known.of(held(), "token") == (Owner(None, None), True)
    assert await known.of(held(), "token") == (Owner(None, None), False)
    await clock.advance(ASK_AGAIN_SECONDS - 0.1)
    assert await known.of(held(), "token") == (Owner(None, None), False)
    await clock.advance(0.1)
    assert await known.of(held(), "token") == (Owner("42", None), True)
    assert await known.of(held(), "token") == (Owner("42", None), False)


async def test_questions_that_time_out_take_little_of_a_jobs_time() -> None:
    clock = ManualClock()
    google = Google(AWAY, TokenInfo("42", None))
    google.go.clear()
    known = owners(google, clock)
    asking = asyncio.ensure_future(known.of(held(), "token"))
    await asyncio.sleep(0)
    await clock.advance(30.0)
    google.go.set()
    assert (await asking)[0].project is None
    await clock.advance(299.0)
    assert await known.of(held(), "token") == (Owner(None, None), False)
    await clock.advance(1.0)
    assert (await known.of(held(), "token"))[0].project == "42"


async def test_that_google_cannot_be_asked_is_found_out_once_for_all_tokens() -> None:
    """Each page of each job would wait for a question that times out."""
    clock = ManualClock()
    google = Google(AWAY, *[TokenInfo("42", None)] * 2 * MOST_KNOWN)
    known = owners(google, clock)
    for number in range(2 * MOST_KNOWN):
        assert (await known.of(held(job_id=f"job-{number}"), "token"))[0].project is None
    assert google.asked == 1
    await clock.advance(ASK_AGAIN_SECONDS)
    for number in range(3):
        assert (await known.of(held(job_id=f"job-{number}"), "token"))[0].project == "42"


async def test_one_question_that_times_out_keeps_other_tokens_waiting_for_a_moment_only() -> None:
    clock = ManualClock()
    google = Google(AWAY, TokenInfo("42", None), TokenInfo("43", None))
    google.go.clear()
    known = owners(google, clock)
    asking = asyncio.ensure_future(known.of(held(job_id="job-1"), "token"))
    await asyncio.sleep(0)
    await clock.advance(30.0)
    google.go.set()
    assert (await asking)[0].project is None
    assert (await known.of(held(job_id="job-2"), "token"))[0].project is None
    await clock.advance(ASK_AGAIN_SECONDS)
    assert (await known.of(held(job_id="job-2"), "token"))[0].project == "42"
    assert (await known.of(held(job_id="job-3"), "token"))[0].project == "43"
    assert await known.of(held(job_id="job-1"), "token") == (Owner(None, None), False)


async def test_an_answer_opens_the_way_for_other_tokens() -> None:
    google = Google(AWAY, TokenInfo("42", None), TokenInfo("43", None))
    google.go.clear()
    known = owners(google)
    both = [asyncio.ensure_future(known.of(held(job_id=f"job-{number}"), "token")) for number in range(2)]
    await asyncio.sleep(0)
    google.go.set()
    assert [owner.project for owner, _ in await asyncio.gather(*both)] == [None, "42"]
    assert (await known.of(held(job_id="job-3"), "token"))[0].project == "43"


async def test_what_is_known_of_a_token_stays_known_while_google_cannot_be_asked() -> None:
    known = owners(Google(TokenInfo("42", None), AWAY))
    assert (await known.of(held(job_id="job-1"), "token"))[0].project == "42"
    assert (await known.of(held(job_id="job-2"), "token"))[0].project is None
    assert await known.of(held(job_id="job-1"), "token") == (Owner("42", None), False)


async def test_a_refusal_is_told_to_everybody_and_not_remembered() -> None:
    refused = GoogleAPIError(ErrorKind.UNAUTHENTICATED, "unauthenticated", "No.", status=401)
    known = owners(Google(refused, TokenInfo("42", None)))
    with pytest.raises(GoogleAPIError):
        await known.of(held(), "token")
    assert (await known.of(held(), "token"))[0].project == "42"
