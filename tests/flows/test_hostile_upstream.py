"""A Google that means harm, through the whole service: each job ends, keeps what was good, and tells what was wrong."""

import gzip
import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from app.models.job import JobStatus
from app.pipeline.lists import MOST_BARREN_PAGES
from app.pipeline.reviews import SPARE_PAGES
from tests.support.engine import running_engine
from tests.support.hostile_google import (
    Answer,
    Listing,
    always,
    flood,
    hostile_google,
    location,
    page,
    review,
    sent,
    whole,
)
from tests.support.stack import Stack

OK = b"HTTP/1.1 200 OK\r\n"
CLOSE = OK + b"Connection: close\r\n\r\n"
PAGE = json.dumps({"reviews": [review(number) for number in range(20)], "totalReviewCount": 20}).encode()
SWARM = gzip.compress(b'{"reviews":[' + b"{}," * 300_000)
BOMB = gzip.compress(b" " * (64 * 2**20))

SPOILED: dict[str, tuple[Answer, str]] = {
    "a gzip bomb": (whole(BOMB, Content_Encoding="gzip"), "page_too_large"),
    "a bomb in a bomb": (whole(gzip.compress(BOMB), Content_Encoding="gzip, gzip"), "content_encoding"),
    "brotli": (whole(BOMB, Content_Encoding="br"), "content_encoding"),
    "half a gzip": (whole(gzip.compress(PAGE)[:-9], Content_Encoding="gzip"), "cut"),
    "50 MB": (flood(CLOSE, b" " * 65_536, 800), "page_too_large"),
    "deep": (whole(b'{"reviews":' + b"[" * 100_000), "invalid_json"),
    "tiny values": (whole(SWARM, Content_Encoding="gzip"), "too_many_values"),
    "too many reviews": (whole(b'{"reviews":[' + b"{}," * 5_000 + b"{}]}"), "too_many_items"),
    "a page token of 1 MB": (whole(b'{"reviews":[],"nextPageToken":"' + b"x" * 10**6 + b'"}'), "invalid_json"),
    "HTML": (whole(b"<!DOCTYPE html><title>Sorry</title>"), "invalid_json"),
    "not a number": (whole(b'{"reviews":[],"totalReviewCount":NaN}'), "invalid_json"),
    "bad UTF-8": (whole(b'{"reviews":[{"comment":"\xff"}]}'), "invalid_json"),
    "nothing": (whole(b""), "cut"),
    "a redirect": (whole(b"", 302, Location="http://127.0.0.1:9/\x7f"), "http_302"),
    "an error that is a bomb": (whole(BOMB, 503, Content_Encoding="gzip"), "http_503"),
    "a refusal without end": (flood(b"HTTP/1.1 403 No\r\n\r\n", b"<p>" * 9_999), "http_403"),
    "headers without end": (flood(OK, b"X: " + b"y" * 999 + b"\r\n"), "bad_http"),
    "a trickle": (flood(OK + b"Content-Length: 999\r\n\r\n", b"{", pause=0.05), "timeout"),
    "interim answers without end": (flood(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", pause=0.001), "timeout"),
    "silence": (sent(OK, then_close=True), "connection"),
}  # fmt: skip


@pytest.fixture
def alone(tmp_path: Path) -> Stack:
    """What a list holds is decided alike on both stacks: the circles are walked on one."""
    return Stack.on_sqlite(tmp_path)


@pytest.mark.parametrize(("times_out", "deadline"), [(True, 2.0), (False, 10.0)])
async def test_each_spoiled_list_costs_itself_and_the_cause_is_told(
    stack: Stack, times_out: bool, deadline: float
) -> None:
    """API10:2023. One location for each way to spoil it, and a good one; retries as the policy says, and no more."""
    spoiled = {kind: told for kind, told in SPOILED.items() if (told[1] == "timeout") is times_out}
    names = dict(zip(spoiled, (f"locations/{number}" for number in count(1)), strict=False))
    answers: dict[str, Listing] = {f"/{names[kind]}/reviews": always(answer) for kind, (answer, _) in spoiled.items()}
    answers["/locations/999/reviews"] = always(whole(PAGE))
    listed = [location(name) for name in (*names.values(), "locations/999")]
    answers["/accounts/1/locations"] = page({"locations": listed})
    async with hostile_google(answers) as google, running_engine(stack, google.url, deadline=deadline) as engine:
        job = await engine.fetch()
        letters = {letter["resource"]: letter for letter in await engine.dead_letters(job["id"])}
        places = {place["location"]: place for place in await engine.locations(job["id"])}
        assert len(await engine.reviews(job["id"])) == 20
    assert (job["status"], job["tasks_dead"]) == ("dlq", len(spoiled)) != ("dlq", 0)
    for kind, (_, cause) in spoiled.items():
        letter = letters[names[kind]]
        assert (kind, letter["cause"]) == (kind, cause)
        assert letter["detail"].startswith(("Google", "The connection"))
        assert (places[names[kind]]["state"], places[names[kind]]["cause"]) == ("dead", cause)
        calls = google.calls[f"/v4/accounts/1/{names[kind]}/reviews"]
        assert (kind, calls) == (kind, 1 if cause == "http_403" else 4)


@pytest.mark.parametrize("where", ["/v1/accounts", "/accounts/1/locations"])
@pytest.mark.parametrize("kind", ["a gzip bomb", "50 MB", "deep", "a redirect", "tiny values"])
async def test_a_spoiled_list_of_accounts_or_locations_ends_the_job_with_its_cause(
    alone: Stack, where: str, kind: str
) -> None:
    answer, cause = SPOILED[kind]
    async with hostile_google({where: always(answer)}) as google, running_engine(alone, google.url) as engine:
        job = await engine.fetch()
        (letter,) = await engine.dead_letters(job["id"])
    assert (job["status"], letter["cause"], letter["attempts"]) == ("dlq", cause, 4)


def circle(items: Mapping[str, Any], *tokens: str) -> Listing:
    """The same page under one token after another, round and round."""
    following = dict(zip(("", *tokens), (*tokens, tokens[0]), strict=True))
    return lambda token: whole(json.dumps({**items, "nextPageToken": following[token]}).encode())


def new_ones_that_loop() -> Listing:
    """Two pages, each with a location of its own; the second says that it is followed by itself."""
    return lambda token: whole(
        json.dumps({"locations": [location("locations/2" if token else "locations/1")], "nextPageToken": "a"}).encode()
    )


def no_end(items: Mapping[str, Any]) -> Listing:
    """The same page under a new token each time."""
    return lambda token: whole(json.dumps({**items, "nextPageToken": f"p{int(token[1:] or 1) + 1}"}).encode())


ACCOUNTS = {"accounts": [{"name": "accounts/1"}]}
LOCATIONS = {"locations": [location("locations/1")]}
REVIEWS = {"reviews": [review(number) for number in range(50)], "totalReviewCount": 2**31 - 1}
LISTS = [
    pytest.param("/v1/accounts", circle(ACCOUNTS, "a"), 20, id="accounts, one page"),
    pytest.param("/accounts/1/locations", circle(LOCATIONS, "a"), 20, id="locations, one page"),
    pytest.param("/accounts/1/locations", new_ones_that_loop(), 40, id="locations, a new one on the page that loops"),
    pytest.param("/v1/accounts", circle(ACCOUNTS, "a", "b"), 20, id="accounts, two pages"),
    pytest.param("/v1/accounts", circle({}, "a", "b", "c"), 0, id="accounts, three empty pages"),
    pytest.param("/v1/accounts", no_end({}), 0, id="accounts, empty without end"),
    pytest.param("/accounts/1/locations", circle(LOCATIONS, "a", "b"), 20, id="locations, two pages"),
    pytest.param("/accounts/1/locations", no_end({}), 0, id="locations, empty without end"),
    pytest.param("/accounts/1/locations", no_end(LOCATIONS), 20, id="locations, the same without end"),
]


@pytest.mark.parametrize(("where", "listing", "reviews"), LISTS)
async def test_a_list_in_a_larger_circle_or_without_an_end_is_given_up_and_told(
    alone: Stack, where: str, listing: Listing, reviews: int
) -> None:
    """What it held is kept: the task is dead, and the walk of what was found went on."""
    answers = {where: listing, "/reviews": always(whole(PAGE))}
    async with hostile_google(answers) as google, running_engine(alone, google.url) as engine:
        job = await engine.fetch()
        (letter,) = await engine.dead_letters(job["id"])
        assert len(await engine.reviews(job["id"])) == reviews
    assert (job["status"], letter["cause"]) == ("dlq", "page_token_loop")
    assert "page tokens go in circles" in letter["detail"]
    assert sum(number for path, number in google.calls.items() if path.endswith(where)) <= MOST_BARREN_PAGES + 3


@pytest.mark.parametrize(
    "listing",
    [circle(REVIEWS, "a", "b"), no_end(REVIEWS), no_end({"totalReviewCount": 2**31 - 1}), no_end({})],
    ids=["two pages", "the same without end", "empty without end", "not even a total"],
)
async def test_reviews_in_a_larger_circle_or_without_an_end_leave_a_gap_that_is_told(
    alone: Stack, listing: Listing
) -> None:
    async with hostile_google({"/reviews": listing}) as google, running_engine(alone, google.url) as engine:
        job = await engine.fetch()
        (place,) = await engine.locations(job["id"])
    assert (job["status"], place["state"], place["cause"]) == ("completed", "done", "page_token_loop")
    assert google.calls["/v4/accounts/1/locations/1/reviews"] <= place["fetched"] + SPARE_PAGES + 3


async def test_reviews_that_are_ever_new_end_where_the_total_says(alone: Stack) -> None:
    def ever_new(token: str) -> Answer:
        number = int(token[1:] or 0)
        items = [review(50 * number + item) for item in range(50)]
        more = {"reviews": items, "totalReviewCount": 100, "nextPageToken": f"p{number + 1}"}
        return whole(json.dumps(more).encode())

    async with hostile_google({"/reviews": ever_new}) as google, running_engine(alone, google.url) as engine:
        job = await engine.fetch()
        (place,) = await engine.locations(job["id"])
    assert (job["status"], place["cause"]) == ("completed", "page_token_loop")
    assert place["gap"] == 100 - place["fetched"] < 0
    assert google.calls["/v4/accounts/1/locations/1/reviews"] <= SPARE_PAGES + 10


HOSTILE_NAMES: tuple[Any, ...] = (
    "{}/../x", "{}/..", "{}/.", "{}/1?x=", "{}/1#x", "{}/1/../../v4", "{}/", "{}", "{}/1\r\nX-Header: y", "{}/a b",
    "{}/\x00", "{}/\ud800", "{}/" + "x" * 300, "http://127.0.0.1:9/", "//127.0.0.1:9/x", "x{}/1", "reviews/1",
    "{}/\\x", "{}/1\u2028", 5, None, {}, ["{}/1"],
)  # fmt: skip


def hostile_names(collection: str) -> list[Any]:
    return [name.replace("{}", collection) if isinstance(name, str) else name for name in HOSTILE_NAMES]


async def test_hostile_names_are_told_and_never_asked_for(stack: Stack) -> None:
    """Path and header injection (CWE-22, CWE-113): a name is one segment of a path, or nothing."""
    quoted = ["accounts/%2e%2e", "accounts/a;b=c", "accounts/\u202e1", "accounts/1&x=2", "accounts/@:9"]
    answers = {
        "/v1/accounts": page(
            {"accounts": [{"name": name} for name in (*hostile_names("accounts"), "accounts/1", *quoted)]}
        ),
        "/locations": page({}),
        "/accounts/1/locations": page(
            {"locations": [location(name) for name in (*hostile_names("locations"), "locations/1")]}
        ),
        "/reviews": always(whole(PAGE)),
    }
    async with hostile_google(answers) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        letters = await engine.dead_letters(job["id"])
        assert len(await engine.reviews(job["id"])) == 20
    assert job["status"] == "completed"
    assert {letter["cause"] for letter in letters} == {"unknown_shape"}
    assert all(letter["detail"].startswith(f"{len(HOSTILE_NAMES)} items") for letter in letters)
    paths = {target.partition("?")[0] for target in google.targets}
    assert paths == {
        "/tokeninfo",
        "/v1/accounts",
        "/v1/accounts/1/locations",
        "/v4/accounts/1/locations/1/reviews",
        "/v1/accounts/%252e%252e/locations",
        "/v1/accounts/a%3Bb%3Dc/locations",
        "/v1/accounts/%E2%80%AE1/locations",
        "/v1/accounts/1%26x%3D2/locations",
        "/v1/accounts/%40%3A9/locations",
    }


async def test_titles_of_megabytes_hold_up_neither_kafka_nor_another_job(stack: Stack) -> None:
    """A title travels in each work message: one that no topic takes would be sent for ever."""
    huge = "x" * 3_000_000
    answers = {
        "/v1/accounts": page({"accounts": [{"name": "accounts/1", "accountName": huge}]}),
        "/accounts/1/locations": page({"locations": [location("locations/1", huge)]}),
        "/reviews": always(whole(PAGE)),
    }
    async with hostile_google(answers) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        (place,) = await engine.locations(job["id"])
    assert (job["status"], place["title"]) == ("completed", "x" * 500)


TOKEN_LIES = ["0", "-1", '"x"', "1e999", "[]", "9" * 4_000, '"' + "9" * 4_000 + '"', "{}", "true"]


@pytest.mark.parametrize("lives", TOKEN_LIES)
async def test_lies_about_a_tokens_life_neither_renew_it_for_each_page_nor_stop_the_walk(
    alone: Stack, lives: str
) -> None:
    fresh = f'{{"access_token":"ya29.fresh","expires_in":{lives},"aud":{lives}}}'.encode()
    answers = {"/token": always(whole(fresh)), "/tokeninfo": always(whole(fresh)), "/reviews": always(whole(PAGE))}
    async with hostile_google(answers, locations=6) as google, running_engine(alone, google.url) as engine:
        job = await engine.job_ended(await engine.submit("", grant="1//refresh-token-for-tests"))
    assert job["status"] == "completed"
    assert google.calls["/token"] <= 2, "the second when tokeninfo calls the first one dead"


@pytest.mark.parametrize("kind", ["a gzip bomb", "deep", "HTML", "a redirect", "headers without end", "50 MB"])
async def test_a_spoiled_tokeninfo_costs_the_project_and_a_spoiled_token_endpoint_asks_for_help(
    alone: Stack, kind: str
) -> None:
    answer, _ = SPOILED[kind]
    answers = {"/token": always(answer), "/tokeninfo": always(answer), "/reviews": always(whole(PAGE))}
    async with (
        hostile_google(answers) as google,
        running_engine(alone, google.url, token_wait_sec=1, retry={"max_backoff_ms": 200}) as engine,
    ):
        assert (await engine.fetch())["status"] == "completed"
        job = await engine.job_is(await engine.submit("", grant="1//refresh-token-for-tests"), JobStatus.NEEDS_TOKEN)
    assert job["error_type"] == "token_not_renewed"
    assert "Send a new one to go on." in job["error_detail"]
