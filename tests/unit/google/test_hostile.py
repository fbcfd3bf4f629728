"""Thousands of answers that Google should never give, through the real client over real sockets.

Each call ends as a page that the store can take or as a row of the table of errors, and as nothing else (OWASP
API10:2023, Unsafe Consumption of APIs).
"""

import math
import re
from asyncio import StreamWriter
from collections import Counter
from random import Random
from typing import Any

import aiohttp
import pytest

from app.google.document import MOST_ITEMS
from app.google.endpoints import is_account, is_location
from app.google.errors import ErrorKind, GoogleAPIError
from app.google.pages import AccountsPage, FreshToken, LocationsPage, ReviewsPage, TokenInfo
from app.models.job import Stage, TaskStatus
from app.models.review import Review
from tests.unit.google.calling import TOKEN, google
from tests.unit.google.hostile import GRANT, Hostile, good_bodies, hostile
from tests.unit.pipeline.stage import held, settlement_of_answer

ANSWERS = 10_000
BATCH = 500
"""For each a client and a server of its own: what one answer breaks must not hide what the next one would."""

UNREADABLE = {
    "cut",
    "invalid_json",
    "bad_gzip",
    "content_encoding",
    "page_too_large",
    "too_many_values",
    "too_many_items",
}
UNREADABLE |= {"no_access_token", "bad_http", "connection"}
"""The words for answers that are no answers: to be tried again."""

OURS = {"rate_limited", "not_approved", "unauthenticated", "page_token_refused", "invalid_grant"}
STAGES = {"accounts": Stage.ACCOUNTS, "locations": Stage.LOCATIONS, "reviews": Stage.REVIEWS}


async def test_ten_thousand_malformed_answers_have_each_an_outcome_of_the_table() -> None:
    seen = await outcomes(seed=6, count=ANSWERS)
    assert seen.total() == ANSWERS
    kinds = Counter(kind for kind, _ in seen.elements())
    assert set(kinds) == {"page", *ErrorKind}, "every row is met"
    words = {word for _, word in seen}
    assert words >= (UNREADABLE | OURS), "and every word"
    assert kinds["page"] < ANSWERS / 2, "most are no pages"


@pytest.mark.nightly
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("seed", range(20))
async def test_many_more_malformed_answers(seed: int) -> None:
    seen = await outcomes(seed=1_000 + seed, count=ANSWERS)
    assert seen.total() == ANSWERS


async def outcomes(seed: int, count: int) -> Counter[tuple[str, str]]:
    """How often a call ended with which kind of outcome and which word; each was looked at closely."""
    random, good = Random(seed), await good_bodies()
    seen: Counter[tuple[str, str]] = Counter()
    decided: set[tuple[str, str, str]] = set()
    now: Hostile

    async def answer_now(writer: StreamWriter) -> None:
        await now.answer(writer)

    for _ in range(count // BATCH):
        cases = [hostile(random, good) for _ in range(BATCH)]
        async with google(answer_now, deadline=10.0) as (client, server):
            for case in cases:
                now = case
                found: Any
                try:
                    found = await case.call(client)
                    kind, word = "page", type(found).__name__
                    assert case.status == 200
                    assert_usable(found)
                except GoogleAPIError as error:
                    found = error
                    kind, word = error.kind, error.reason
                    assert_of_the_table(error)
                seen[kind, word] += 1
                stage = STAGES.get(case.name.partition(",")[0])
                again = seen[kind, word] % 5 if kind == "page" else (case.name, kind, word) in decided
                if stage is not None and not again:
                    decided.add((case.name, kind, word))
                    await assert_decided(stage, found)
            assert 0.9 * BATCH < len(server.requests) <= BATCH, "one call, one request at most"
    return seen


async def assert_decided(stage: Stage, found: Any) -> None:
    """The pipeline knows what to do with it: the task goes somewhere, and what is wrong is told with it."""
    settlement = await settlement_of_answer(held(stage), found)
    assert settlement.move.status in TaskStatus
    if isinstance(found, GoogleAPIError) and found.kind is not ErrorKind.THROTTLED:
        problem = settlement.move.error or settlement.token_problem
        assert problem is not None
        assert problem.type
        assert problem.detail


def assert_of_the_table(error: GoogleAPIError) -> None:
    words = UNREADABLE | OURS if error.kind is not ErrorKind.TRANSIENT else UNREADABLE
    own_word = error.kind in (ErrorKind.REFUSED, ErrorKind.NOT_ENTITLED) and re.fullmatch(
        r"[A-Za-z_]{3,64}", error.reason
    )
    assert error.reason in words or own_word or error.reason == f"http_{error.status}", error.reason
    assert 0 < len(error.message) <= 600
    assert error.message.isprintable()
    secrets = (TOKEN, GRANT.refresh_token, GRANT.client_secret)
    assert not any(secret[:12] in repr(vars(error)) for secret in secrets)
    assert error.retry_after is None or (error.retry_after >= 0 and math.isfinite(error.retry_after))
    assert not isinstance(error.__cause__ or error.__context__, aiohttp.ClientError), "they carry the request"


def assert_usable(page: Any) -> None:
    """What the store, Kafka and a URL can hold."""
    match page:
        case AccountsPage():
            assert all(is_account(item.name) and storable(item.title, 500) for item in page.accounts)
            assert len(page.accounts) + page.odd <= MOST_ITEMS
        case LocationsPage():
            texts = [text for item in page.locations for text in (item.title, item.store_code, item.place_id) if text]
            assert all(is_location(item.name) for item in page.locations)
            assert all(storable(text, 500) for text in texts)
            assert len(page.locations) + page.odd <= MOST_ITEMS
        case ReviewsPage():
            assert len(page.reviews) <= MOST_ITEMS
            assert all(storable_review(review) for review in page.reviews)
            assert page.total is None or 0 <= page.total < 2**31
            assert page.average is None or 0 <= page.average <= 5
        case TokenInfo():
            assert page.project is None or storable(page.project, 500)
            assert page.expires_in is None or 0 <= page.expires_in <= 366 * 86_400
        case FreshToken():
            assert re.fullmatch(r"[!-~]{1,8192}", page.access_token)
            assert page.expires_in is None or 0 < page.expires_in <= 366 * 86_400
        case _:
            raise AssertionError(page)
    token = getattr(page, "next_page_token", None)
    assert token is None or (token and storable(token, 4_096))


def storable(text: str, most: int) -> bool:
    text.encode()
    return "\x00" not in text and len(text) <= most


def storable_review(review: Review) -> bool:
    review.raw.decode()
    texts = [text for text in review if isinstance(text, str)]
    return bool(review.review_id) and len(review.review_id) <= 500 and all(storable(text, 10**6) for text in texts)
