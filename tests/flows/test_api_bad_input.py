"""Bad input: a problem that says what to do, never a 5xx, and never the token."""

import json
from collections.abc import AsyncIterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import TOKEN, ServedApi, served_api
from tests.support.asgi import AsgiClient
from tests.support.store import sqlite_database

SUBMIT = "/api/v1/review-fetch"
JSON = {"content-type": "application/json"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ServedApi]:
    async with sqlite_database(tmp_path) as database, served_api(database) as served:
        yield served


def _body(**members: object) -> bytes:
    return json.dumps(members).encode()


BAD_BODIES: dict[str, tuple[bytes, int, str]] = {
    "nothing": (b"", 422, "invalid-request"),
    "not JSON": (f"access_token={TOKEN}".encode(), 422, "invalid-request"),
    "cut JSON": (_body(access_token=TOKEN)[:-2], 422, "invalid-request"),
    "JSON twice": (_body(access_token=TOKEN) * 2, 422, "invalid-request"),
    "not UTF-8": (_body(access_token=TOKEN)[:-2] + b'\xff"}', 422, "invalid-request"),
    "a lone surrogate": (b'{"access_token": "\\ud800' + TOKEN.encode() + b'"}', 422, "invalid-request"),
    "a list": (f'["{TOKEN}"]'.encode(), 422, "invalid-request"),
    "a string": (f'"{TOKEN}"'.encode(), 422, "invalid-request"),
    "null": (b"null", 422, "invalid-request"),
    "no token": (b"{}", 422, "invalid-request"),
    "a number as token": (b'{"access_token": 12345678901}', 422, "invalid-request"),
    "null as token": (b'{"access_token": null}', 422, "invalid-request"),
    "a list as token": (_body(access_token=[TOKEN]), 422, "invalid-request"),
    "half a grant": (_body(refresh_token=TOKEN, client_id="client-1"), 422, "invalid-request"),
    "a token and half a grant": (_body(access_token=TOKEN, client_secret=TOKEN), 422, "invalid-request"),
    "a grant with a space": (
        _body(refresh_token=f"{TOKEN} x", client_id="c", client_secret=TOKEN),
        422,
        "invalid-request",
    ),
    "an absurd grant": (
        _body(refresh_token=TOKEN * 100, client_id=TOKEN * 100, client_secret=TOKEN * 100),
        422,
        "invalid-request",
    ),
    "an unknown field": (_body(access_token=TOKEN, colour="red"), 422, "invalid-request"),
    "the token as a field": (_body(access_token=TOKEN, **{TOKEN: 1}), 422, "invalid-request"),
    "an empty token": (_body(access_token=""), 422, "invalid-request"),
    "a token of spaces": (_body(access_token=" " * 40), 422, "invalid-request"),
    "nine characters": (_body(access_token="  123456789  "), 422, "invalid-request"),
    "an absurd token": (_body(access_token=TOKEN * 300), 422, "invalid-request"),
    "a line break inside": (_body(access_token=f"{TOKEN}\r\nX-Evil: 1"), 422, "invalid-request"),
    "a space inside": (_body(access_token=f"{TOKEN} {TOKEN}"), 422, "invalid-request"),
    "NUL inside": (_body(access_token=f"{TOKEN}\0"), 422, "invalid-request"),
    "another alphabet": (_body(access_token=f"{TOKEN}é"), 422, "invalid-request"),
    "deep nesting": (b'{"access_token":' * 4000, 422, "invalid-request"),
    "65 KiB": (_body(access_token=TOKEN.ljust(65 * 1024, "x")), 413, "body-too-large"),
}


@pytest.mark.parametrize(("body", "status", "kind"), BAD_BODIES.values(), ids=BAD_BODIES)
@pytest.mark.parametrize("method_and_path", ["POST /api/v1/review-fetch", "PUT /api/v1/review-fetch/{job_id}/token"])
async def test_a_bad_body_is_told_without_repeating_it(
    api: ServedApi, method_and_path: str, body: bytes, status: int, kind: str
) -> None:
    method, path = method_and_path.split()
    if method == "PUT":
        path = path.replace("{job_id}", await api.submit())
    before = await api.count_jobs()
    answer = await api.client.request(method, path, chunks=[body], headers=dict(JSON))
    assert (answer.status, answer.problem) == (status, kind)
    assert TOKEN not in answer.text
    assert "input" not in answer.json()
    assert all(error.keys() == {"field", "message"} for error in answer.json().get("errors", []))
    assert await api.count_jobs() == before


async def test_what_is_wrong_is_named(api: ServedApi) -> None:
    answer = await api.client.post(SUBMIT, {"access_token": "short", "colour": "red"})
    told = {error["field"]: error["message"] for error in answer.json()["errors"]}
    assert told == {
        "body.access_token": "an access token has 10 to 8192 characters",
        "body.colour": "Extra inputs are not permitted",
    }


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "application/problem+json",
        "application/json, text/plain",
        "text/plain, application/json",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-1",
        "application/json; charset=utf-8; charset=utf-7",
        "application/json; boundary=x",
        "application/json;",
        "multipart/form-data; boundary=application/json",
    ],
)
async def test_a_body_that_is_not_declared_as_json_is_refused(api: ServedApi, content_type: str | None) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = await api.client.request("POST", SUBMIT, chunks=[_body(access_token=TOKEN)], headers=headers)
    assert (answer.status, answer.problem) == (415, "not-json")


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip"])
async def test_a_compressed_body_is_refused_before_it_is_read(api: ServedApi, coding: str) -> None:
    """RFC 9110 §15.5.16; and a bomb is never unpacked."""
    headers = JSON | {"content-encoding": coding}
    answer = await api.client.request("POST", SUBMIT, chunks=[_body(access_token=TOKEN)], headers=headers)
    assert (answer.status, answer.problem) == (415, "not-json")


async def test_two_content_types_are_one_too_many(api: ServedApi) -> None:
    scope = api.client.scope("POST", SUBMIT, {"host": "localhost", "content-type": "application/json"})
    scope["headers"].append((b"content-type", b"text/plain"))
    assert (await api.client.exchange(scope, [_body(access_token=TOKEN)])).problem == "not-json"


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=utf-8", 'application/json;charset="UTF-8"', "application/json "],
)
async def test_a_charset_beside_the_content_type_is_fine(api: ServedApi, content_type: str) -> None:
    headers = {"content-type": content_type}
    answer = await api.client.request("POST", SUBMIT, chunks=[_body(access_token=TOKEN)], headers=headers)
    assert answer.status == 202


async def test_a_body_is_counted_while_it_streams(api: ServedApi) -> None:
    blanks = [b" " * 1024] * 1000
    small = await api.client.request("POST", SUBMIT, chunks=[*blanks[:40], _body(access_token=TOKEN)], headers=JSON)
    assert small.status == 202
    answer = await api.client.request("POST", SUBMIT, chunks=blanks, headers=JSON)
    assert (answer.status, answer.problem) == (413, "body-too-large")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "tab\there", "ümlaut"])
async def test_an_idempotency_key_is_visible_ascii_of_bounded_length(api: ServedApi, key: str) -> None:
    answer = await api.client.post(SUBMIT, {"access_token": TOKEN}, idempotency_key=key)
    assert (answer.status, answer.problem) == (422, "invalid-request")
    assert await api.count_jobs() == 0


JOB_ROUTES = [
    "GET /api/v1/review-fetch/{id}",
    "GET /api/v1/review-fetch/{id}/locations",
    "GET /api/v1/review-fetch/{id}/reviews",
    "GET /api/v1/review-fetch/{id}/reviews?format=ndjson",
    "GET /api/v1/review-fetch/{id}/reviews?format=csv",
    "POST /api/v1/review-fetch/{id}/cancel",
    "POST /api/v1/review-fetch/{id}/pause",
    "POST /api/v1/review-fetch/{id}/resume",
]

HOSTILE_IDS = [
    "unknown",
    "%00",
    "..%2f..",
    "%F0%9F%92%A9",
    "%ff",
    "x" * 5000,
    "'%20OR%201=1--",
    "{job_id}",
    "%0d%0aX:1",
]


@pytest.mark.parametrize("route", JOB_ROUTES)
@pytest.mark.parametrize("job_id", HOSTILE_IDS, ids=range(len(HOSTILE_IDS)))
async def test_an_unknown_job_is_not_found_however_it_is_spelt(api: ServedApi, route: str, job_id: str) -> None:
    method, path = route.split()
    answer = await api.client.request(method, path.replace("{id}", job_id))
    assert (answer.status, answer.problem) in ((404, "job-not-found"), (404, "no-such-path"))


LISTINGS = ["/api/v1/review-fetch?", "{job}/locations?", "{job}/reviews?", "/api/v1/dlq?", "/api/v1/reviews/feed?"]

HOSTILE_CURSORS = [
    "x",
    "%00",
    "%ff%fe",
    "eyJhIjoxfQ",
    "W10",
    "bnVsbA==",
    "A" * 1024,
    "A" * 1025,
    "-1",
    "%F0%9F%92%A9",
    "...",
]


@pytest.mark.parametrize("listing", LISTINGS)
@pytest.mark.parametrize("cursor", HOSTILE_CURSORS, ids=range(len(HOSTILE_CURSORS)))
async def test_a_hostile_cursor_is_refused(api: ServedApi, listing: str, cursor: str) -> None:
    name = "after" if "feed" in listing else "cursor"
    job = f"/api/v1/review-fetch/{await api.submit()}"
    answer = await api.client.get(f"{listing.replace('{job}', job)}{name}={cursor}")
    assert answer.status == 422
    assert answer.problem in ("bad-cursor", "invalid-request")


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "limit=1001", "limit=x", "limit=1e3", f"limit={'9' * 400}", "status=done", "status="],
)
async def test_a_parameter_that_is_not_understood_is_named(api: ServedApi, query: str) -> None:
    answer = await api.client.get(f"/api/v1/review-fetch?{query}")
    assert (answer.status, answer.problem) == (422, "invalid-request")
    assert answer.json()["errors"][0]["field"] == f"query.{query.partition('=')[0]}"


@pytest.mark.parametrize("query", ["format=xml", "format=", "format=ndjson%00"])
async def test_an_unknown_format_is_refused(api: ServedApi, query: str) -> None:
    answer = await api.client.get(f"/api/v1/review-fetch/{await api.submit()}/reviews?{query}")
    assert (answer.status, answer.problem) == (422, "invalid-request")


@pytest.mark.parametrize("query", ["cause=%00", "job_id=%ff", "cause=" + "x" * 201])
async def test_a_filter_that_no_dead_letter_can_match_is_refused(api: ServedApi, query: str) -> None:
    answer = await api.client.get(f"/api/v1/dlq?{query}")
    assert (answer.status, answer.problem) == (422, "invalid-request")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"all": False},
        {"all": True, "ids": [1]},
        {"ids": []},
        {"ids": [0]},
        {"ids": [2**63]},
        {"ids": ["x"]},
        {"filter": {}},
        {"filter": {"job_id": "a\0b"}},
        {"all": True, "dry": True},
        [],
    ],
)
async def test_a_redrive_says_exactly_one_thing(api: ServedApi, body: object) -> None:
    answer = await api.client.post("/api/v1/dlq/redrive", body)
    assert (answer.status, answer.problem) == (422, "invalid-request")


@pytest.mark.parametrize(
    "path", ["/submit-job", "/api/v1/review-fetch/", "/api/v2", "//", "/docs/oauth2-redirect", "/%00"]
)
async def test_an_unknown_path_is_a_problem_too(api: ServedApi, path: str) -> None:
    answer = await api.client.get(path)
    assert (answer.status, answer.problem) == (404, "no-such-path")


async def test_an_action_that_the_state_does_not_allow_says_what_it_does_allow(api: ServedApi) -> None:
    job_id = await api.submit()
    assert (await api.client.request("POST", f"{SUBMIT}/{job_id}/cancel")).json()["status"] == "cancelled"
    answer = await api.client.request("POST", f"{SUBMIT}/{job_id}/resume")
    assert (answer.status, answer.problem) == (409, "illegal-transition")
    assert "cancelled" in answer.json()["detail"]


async def test_a_body_that_ends_early_is_a_problem_of_the_client(api: ServedApi) -> None:
    half = _body(access_token=TOKEN)[:20]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return sent.pop(0)

    sent += [{"type": "http.request", "body": half, "more_body": True}, {"type": "http.disconnect"}]
    answers: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        answers.append(message)

    scope = AsgiClient(api.app).scope("POST", SUBMIT, {"host": "localhost"} | JSON)
    await api.app(scope, receive, send)
    assert answers[0]["status"] == 400
    assert await api.count_jobs() == 0
