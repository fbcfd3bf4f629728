"""API keys over HTTP: made, rotated, ended, and what a wrong one is told. ASVS 5.0 V6, API1:2023, API2:2023."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from app.api.attempts import PER_MINUTE
from app.api.stored_keys import FRESH_SECONDS
from app.models.access import Scope
from app.store.keys import prefix_of
from tests.support.api import ServedApi, served_api
from tests.support.asgi import Answer, AsgiClient
from tests.support.clock import ManualClock
from tests.support.keys import expire_now
from tests.support.store import sqlite_database

KEYS = "/api/v1/keys"
NO_LIFETIMES = ("0", "59s", "soon", "-1d", 90, "99999d", "1 d")
JOBS = "/api/v1/review-fetch"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def api(tmp_path: Path, clock: ManualClock) -> AsyncIterator[ServedApi]:
    async with sqlite_database(tmp_path) as database, served_api(database, clock=clock) as served:
        yield served


async def _asked(api: ServedApi, key: str | None, method: str = "GET", path: str = JOBS, body: Any = None) -> Answer:
    headers = {"x-request-id": "fixed"} | ({"x-api-key": key} if key else {})
    return await api.client.request(method, path, json=body, headers=headers)


async def test_a_key_is_made_with_what_it_may_and_until_when_and_told_once(api: ServedApi) -> None:
    admin = await api.key(Scope.ADMIN)
    wanted = {"name": " reports ", "scopes": ["read"], "expires_in": "90d"}
    answer = await _asked(api, admin, "POST", KEYS, wanted)
    new = answer.json()
    assert (answer.status, answer.headers["cache-control"]) == (201, "no-store")
    assert (new["made"]["name"], new["made"]["scopes"], new["made"]["state"]) == ("reports", ["read"], "valid")
    assert (await _asked(api, new["key"])).status == 200
    listed = await _asked(api, admin, path=KEYS)
    assert listed.json()["keys"][0] == new["made"]
    assert new["key"] not in listed.text
    assert new["key"].split("_", 2)[2] not in listed.text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", KEYS, {}),
        ("POST", KEYS, {"name": " "}),
        ("POST", KEYS, {"name": "a\nb"}),
        ("POST", KEYS, {"name": "x" * 101}),
        ("POST", KEYS, {"name": "x", "tenant": "other"}),
        ("POST", KEYS, {"name": "x", "scopes": []}),
        ("POST", KEYS, {"name": "x", "scopes": ["everything"]}),
        *(("POST", KEYS, {"name": "x", "expires_in": given}) for given in NO_LIFETIMES),
        *(("POST", f"{KEYS}/unknown7/rotate", {"overlap": given}) for given in ("soon", -1, "1y", None)),
        ("GET", f"{KEYS}?limit=0", None),
        ("GET", f"{KEYS}?cursor=made-up", None),
    ],
)  # fmt: skip
async def test_what_makes_no_sense_is_refused(api: ServedApi, method: str, path: str, body: Any) -> None:
    answer = await _asked(api, await api.key(Scope.ADMIN), method, path, body)
    assert answer.status == 422, answer.text
    assert answer.problem in ("invalid-request", "bad-cursor")


@pytest.mark.parametrize("scopes", [[Scope.SUBMIT], [Scope.READ], [Scope.OPERATE], [Scope.SUBMIT, Scope.READ]])
async def test_nobody_makes_a_key_that_may_more_than_his_own(api: ServedApi, scopes: list[Scope]) -> None:
    """Only who may do everything makes keys at all. API5:2023."""
    key, admin = await api.key(*scopes), await api.key(Scope.ADMIN)
    for method, path, body in (
        ("POST", KEYS, {"name": "more", "scopes": ["admin"]}),
        ("POST", KEYS, {"name": "the same", "scopes": list(scopes)}),
        ("POST", f"{KEYS}/{prefix_of(admin)}/rotate", {}),
        ("POST", f"{KEYS}/{prefix_of(key)}/rotate", {}),
        ("DELETE", f"{KEYS}/{prefix_of(admin)}", None),
    ):
        assert (await _asked(api, key, method, path, body)).problem == "scope-missing"
    assert len((await _asked(api, admin, path=KEYS)).json()["keys"]) == 2


@pytest.mark.parametrize(("mine", "theirs"), [("acme", "other"), ("default", "acme"), ("acme", "default")])
async def test_an_administrator_sees_and_touches_the_keys_of_his_tenant_alone(
    api: ServedApi, mine: str, theirs: str
) -> None:
    """API1:2023. The default tenant is no superuser."""
    admin, other = await api.key(Scope.ADMIN, tenant=mine), await api.key(Scope.ADMIN, tenant=theirs)
    assert [key["id"] for key in (await _asked(api, admin, path=KEYS)).json()["keys"]] == [prefix_of(admin)]
    for method, action, body in (("POST", "/rotate", {}), ("DELETE", "", None)):
        answers = [
            await _asked(api, admin, method, f"{KEYS}/{key_id}{action}", body)
            for key_id in (prefix_of(other), "unknown7")
        ]
        assert [(answer.status, answer.problem) for answer in answers] == [(404, "key-not-found")] * 2
        assert answers[0].body == answers[1].body
        assert answers[0].headers == answers[1].headers
    made = (await _asked(api, admin, "POST", KEYS, {"name": "mine"})).json()["made"]
    assert made["tenant"] == mine
    assert (await _asked(api, other)).status == 200


async def test_a_rotated_key_works_beside_the_new_one_until_the_overlap_is_over(
    api: ServedApi, clock: ManualClock
) -> None:
    admin = await api.key(Scope.ADMIN)
    answer = await _asked(api, admin, "POST", f"{KEYS}/{prefix_of(admin)}/rotate", {"overlap": "1h"})
    new = answer.json()
    assert answer.status == 201
    assert [(await _asked(api, key)).status for key in (admin, new["key"])] == [200, 200]
    again = await _asked(api, new["key"], "POST", f"{KEYS}/{prefix_of(admin)}/rotate", {})
    assert (again.status, again.problem) == (409, "key-ended")
    await api.database.write(expire_now, prefix_of(admin))
    await clock.advance(FRESH_SECONDS)
    assert [(await _asked(api, key)).status for key in (admin, new["key"])] == [401, 200]


async def test_wrong_expired_revoked_and_unknown_keys_are_answered_alike(api: ServedApi, clock: ManualClock) -> None:
    """Nobody learns from an answer that a key once was one."""
    admin, expired, revoked = [await api.key(Scope.ADMIN) for _ in range(3)]
    assert [(await _asked(api, key)).status for key in (expired, revoked)] == [200, 200]
    await api.database.write(expire_now, prefix_of(expired))
    assert (await _asked(api, admin, "DELETE", f"{KEYS}/{prefix_of(revoked)}")).json()["state"] == "revoked"
    await clock.advance(FRESH_SECONDS)
    answers = [
        await _asked(api, key) for key in (None, "wrong", admin + "x", expired, revoked, "rf_unknown7_" + "x" * 32)
    ]
    assert [answer.status for answer in answers] == [401] * 6
    assert len({(answer.body, json.dumps(answer.headers)) for answer in answers}) == 1


async def test_after_too_many_wrong_keys_an_address_is_told_to_wait_and_others_are_not(api: ServedApi) -> None:
    known, fresh = await api.key(Scope.READ), await api.key(Scope.READ)
    assert (await _asked(api, known)).status == 200
    guesses = [await _asked(api, f"rf_guess{number:03}_x") for number in range(PER_MINUTE + 1)]
    assert [answer.status for answer in guesses] == [401] * PER_MINUTE + [429]
    assert guesses[-1].problem == "too-many-attempts"
    assert guesses[-1].headers["retry-after"] == "2"
    assert [(await _asked(api, key)).status for key in (known, fresh, None)] == [200, 429, 401]
    elsewhere = AsgiClient(api.app, client=("203.0.113.7", 1))
    assert (await elsewhere.get(JOBS, x_api_key=fresh)).status == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/api/v1/health"])
async def test_open_routes_are_open_to_an_address_that_must_wait(api: ServedApi, path: str) -> None:
    await api.key(Scope.READ)
    for number in range(PER_MINUTE + 1):
        await _asked(api, f"guess-{number}")
    assert (await _asked(api, "guess", path=path)).status == 200


async def test_what_is_logged_for_a_request_names_its_key(api: ServedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    bound: list[dict[str, Any]] = []
    before = api.services.progress.jobs

    async def look(*arguments: Any) -> Any:
        bound.append(structlog.contextvars.get_contextvars())
        return await before(*arguments)

    monkeypatch.setattr(api.services.progress, "jobs", look)
    assert (await _asked(api, None)).status == 200
    key = await api.key(Scope.READ, tenant="acme")
    assert (await _asked(api, key)).status == 200
    (nobody, named) = bound
    assert "key" not in nobody
    assert (named["tenant"], named["key"]) == ("acme", prefix_of(key))


async def test_the_reference_says_that_nobody_needs_a_key_while_that_is_so(api: ServedApi) -> None:
    assert "Open to this machine" in (await _asked(api, None, path="/docs")).text
    assert "Open to this machine" not in (await _asked(api, await api.key(), path="/docs")).text
