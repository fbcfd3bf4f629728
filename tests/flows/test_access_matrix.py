"""Who may do what: every route of the OpenAPI document, with every kind of key. A new route must be entered here."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi import APIRouter
from sqlalchemy import insert

from app.api.application import create_api
from app.api.auth import OPEN_ROUTES
from app.models.access import DEFAULT_TENANT, Scope
from app.models.erasure import ErasureKind
from app.store.database import Transaction
from app.store.erasures import order_reviewer
from app.store.keys import prefix_of, revoke_key
from app.store.schema import dead_letters
from tests.support.api import TOKEN, ServedApi, served_api
from tests.support.asgi import Answer
from tests.support.store import sqlite_database

OPEN = "no key"
ANY = "any key"

EXPECTED: dict[tuple[str, str], Scope | str] = {
    ("GET", "/"): ANY,
    ("GET", "/docs"): ANY,
    ("GET", "/openapi.json"): ANY,
    ("GET", "/livez"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/api/v1/health"): OPEN,
    ("GET", "/metrics"): Scope.ADMIN,
    ("GET", "/api/v1/quota"): Scope.ADMIN,
    ("GET", "/api/v1/audit"): Scope.ADMIN,
    ("GET", "/api/v1/settings"): Scope.ADMIN,
    ("GET", "/api/v1/overview"): Scope.READ,
    ("POST", "/api/v1/review-fetch"): Scope.SUBMIT,
    ("GET", "/api/v1/review-fetch"): Scope.READ,
    ("GET", "/api/v1/review-fetch/{job_id}"): Scope.READ,
    ("GET", "/api/v1/review-fetch/{job_id}/events"): Scope.READ,
    ("GET", "/api/v1/review-fetch/{job_id}/accounts"): Scope.READ,
    ("GET", "/api/v1/review-fetch/{job_id}/locations"): Scope.READ,
    ("GET", "/api/v1/review-fetch/{job_id}/reconciliation"): Scope.READ,
    ("GET", "/api/v1/review-fetch/{job_id}/reviews"): Scope.READ,
    ("GET", "/api/v1/reviews/feed"): Scope.READ,
    ("GET", "/api/v1/dlq"): Scope.READ,
    ("GET", "/api/v1/dlq/causes"): Scope.READ,
    ("GET", "/api/v1/dlq/{letter_id}"): Scope.READ,
    ("POST", "/api/v1/review-fetch/{job_id}/pause"): Scope.OPERATE,
    ("POST", "/api/v1/review-fetch/{job_id}/resume"): Scope.OPERATE,
    ("POST", "/api/v1/review-fetch/{job_id}/cancel"): Scope.OPERATE,
    ("PUT", "/api/v1/review-fetch/{job_id}/token"): Scope.OPERATE,
    ("POST", "/api/v1/dlq/redrive"): Scope.OPERATE,
    ("GET", "/api/v1/review-fetch/{job_id}/webhooks"): Scope.READ,
    ("POST", "/api/v1/review-fetch/{job_id}/webhooks/{webhook_id}/resend"): Scope.OPERATE,
    ("GET", "/api/v1/webhooks/secrets"): Scope.ADMIN,
    ("DELETE", "/api/v1/review-fetch/{job_id}"): Scope.ADMIN,
    ("POST", "/api/v1/erasures"): Scope.ADMIN,
    ("GET", "/api/v1/erasures"): Scope.ADMIN,
    ("GET", "/api/v1/erasures/{erasure_id}"): Scope.ADMIN,
    ("GET", "/api/v1/keys"): Scope.ADMIN,
    ("POST", "/api/v1/keys"): Scope.ADMIN,
    ("POST", "/api/v1/keys/{key_id}/rotate"): Scope.ADMIN,
    ("DELETE", "/api/v1/keys/{key_id}"): Scope.ADMIN,
}

DOCUMENT = create_api(version="0").openapi()

ROUTES = sorted((method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods)

BODIES: dict[str, Any] = {
    "/api/v1/dlq/redrive": {"all": True},
    "/api/v1/erasures": {"reviewer": "Ann Other"},
    "/api/v1/keys": {"name": "for the import", "scopes": ["admin"]},
    "/api/v1/keys/{key_id}/rotate": {"overlap": "24h"},
}

LETTER = 1
"""The id of the only dead letter."""

every_route = pytest.mark.parametrize(("method", "path"), ROUTES)
guarded_route = pytest.mark.parametrize(
    ("method", "path"), [(method, path) for method, path in ROUTES if path not in OPEN_ROUTES]
)
route_of_a_job = pytest.mark.parametrize(("method", "path"), [route for route in ROUTES if "{job_id}" in route[1]])


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ServedApi]:
    async with sqlite_database(tmp_path) as database, served_api(database) as served:
        yield served


async def _call(
    api: ServedApi, method: str, path: str, key: str | None, job_id: str = "", *, key_id: str = "unknown7"
) -> Answer:
    body = BODIES.get(path, {"access_token": TOKEN}) if method in ("POST", "PUT") else None
    headers = {"x-request-id": "fixed"} | ({"x-api-key": key} if key else {})
    target = path.replace("{job_id}", job_id or str(uuid4())).replace("{letter_id}", str(LETTER))
    target = target.replace("{webhook_id}", "1").replace("{key_id}", key_id).replace("{erasure_id}", "1")
    return await api.client.request(method, target, json=body, headers=headers)


def _needed(method: str, path: str) -> list[Scope]:
    """Scopes of a key that is just enough."""
    scope = EXPECTED[method, path]
    return [scope] if isinstance(scope, Scope) else []


def test_every_route_has_an_expectation_and_no_expectation_is_without_its_route() -> None:
    assert set(ROUTES) == set(EXPECTED)
    assert {path for _, path in ROUTES if path in OPEN_ROUTES} == set(OPEN_ROUTES)


def _hidden(router: APIRouter) -> Iterator[str]:
    for route in router.routes:
        included = getattr(route, "original_router", None)
        if included is not None:
            yield from _hidden(included)
        elif not getattr(route, "include_in_schema", False):
            yield repr(route)


def test_no_route_is_hidden_from_the_document() -> None:
    assert list(_hidden(create_api(version="0").router)) == []


@every_route
def test_the_document_tells_the_scope(method: str, path: str) -> None:
    told = DOCUMENT["paths"][path][method.lower()].get("security")
    scopes = [scope.value for scope in _needed(method, path)]
    expected = None if EXPECTED[method, path] == OPEN else [{"ApiKey": scopes}, {"Bearer": scopes}]
    assert told == expected


@guarded_route
async def test_no_wrong_and_revoked_keys_are_refused(api: ServedApi, method: str, path: str) -> None:
    key = await api.key(Scope.ADMIN)
    revoked = await api.key(Scope.ADMIN)
    await api.database.write(revoke_key, None, prefix_of(revoked) or "")
    answers = [await _call(api, method, path, wrong) for wrong in (None, "wrong", key + "x", revoked)]
    assert [(answer.status, answer.problem) for answer in answers] == [(401, "unauthenticated")] * 4
    assert len({answer.body for answer in answers}) == 1
    assert answers[0].headers["www-authenticate"].startswith("Bearer")


@guarded_route
async def test_a_key_without_the_scope_is_refused(api: ServedApi, method: str, path: str) -> None:
    needed = _needed(method, path)
    others = [scope for scope in Scope if scope not in needed and scope is not Scope.ADMIN]
    answer = await _call(api, method, path, await api.key(*others))
    if needed:
        assert (answer.status, answer.problem) == (403, "scope-missing")
        assert needed[0] in answer.json()["detail"]
    else:
        assert answer.status == 200


@guarded_route
async def test_a_key_with_the_scope_is_let_in(api: ServedApi, method: str, path: str) -> None:
    job_id = await api.submit("https://example.com/hook")
    if path.endswith("/events") or "{webhook_id}" in path:  # goes on for as long as its job; is there from its end on
        await api.services.job_control.cancel(DEFAULT_TENANT, job_id)
    if "{letter_id}" in path:
        await api.database.write(_add_letter, job_id)
    if "{erasure_id}" in path:
        await api.database.write(order_reviewer, DEFAULT_TENANT, ErasureKind.REVIEWER, "Ann Other")
    for scopes in (_needed(method, path), [Scope.ADMIN]):
        other = prefix_of(await api.key()) or ""
        answer = await _call(api, method, path, await api.key(*scopes), job_id, key_id=other)
        assert answer.status in (200, 201, 202, 409), answer.text


def _add_letter(transaction: Transaction, job_id: str) -> None:
    told = {"stage": "reviews", "resource": "locations/1", "cause": "timeout", "detail": "-", "attempts": 4}
    row = {"id": LETTER, "tenant": DEFAULT_TENANT, "job_id": job_id, "created_at": 1.0}
    transaction.connection.execute(insert(dead_letters).values(row | told))


async def test_the_dead_letter_of_another_tenant_is_answered_like_one_that_does_not_exist(api: ServedApi) -> None:
    job_id, path = await api.submit(), "/api/v1/dlq/{letter_id}"
    key = await api.key(Scope.READ, tenant="other")
    unknown = await _call(api, "GET", path, key)
    await api.database.write(_add_letter, job_id)
    theirs = await _call(api, "GET", path, key)
    assert (theirs.status, theirs.problem) == (404, "dead-letter-not-found")
    assert (theirs.body, theirs.headers) == (unknown.body, unknown.headers)


@pytest.mark.parametrize("path", OPEN_ROUTES)
async def test_an_open_route_needs_no_key_and_minds_no_wrong_one(api: ServedApi, path: str) -> None:
    await api.key(Scope.ADMIN)
    assert [(await _call(api, "GET", path, key)).status for key in (None, "wrong")] == [200, 200]


@route_of_a_job
async def test_the_job_of_another_tenant_is_answered_like_one_that_does_not_exist(
    api: ServedApi, method: str, path: str
) -> None:
    job_id = await api.submit()
    key = await api.key(*_needed(method, path), tenant="other")
    theirs, unknown = [await _call(api, method, path, key, id_) for id_ in (job_id, str(uuid4()))]
    assert (theirs.status, theirs.problem) == (404, "job-not-found")
    assert (theirs.body, theirs.headers) == (unknown.body, unknown.headers)


@guarded_route
async def test_another_tenant_sees_nothing_of_a_job(api: ServedApi, method: str, path: str) -> None:
    job_id = await api.submit()
    answer = await _call(api, method, path, await api.key(*_needed(method, path), tenant="other"))
    assert job_id not in answer.text


@pytest.mark.parametrize("path", sorted(DOCUMENT["paths"]))
async def test_methods_that_a_path_does_not_have_are_refused_with_those_it_has(api: ServedApi, path: str) -> None:
    known = {method.upper() for method in DOCUMENT["paths"][path]}
    key = await api.key(Scope.ADMIN)
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - known:
        answer = await _call(api, method, path, key, "any")
        assert (answer.status, answer.problem) == (405, "method-not-allowed")
        assert set(answer.headers["allow"].split(", ")) == known
