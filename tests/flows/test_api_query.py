"""Parameters that a route does not have are refused, on every route that knows its caller."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.api.auth import OPEN_ROUTES
from tests.flows.test_access_matrix import ROUTES
from tests.support.api import ServedApi, served_api
from tests.support.store import sqlite_database

PLAIN = [(method, path) for method, path in ROUTES if path not in OPEN_ROUTES]


def _target(path: str, job_id: str = "1") -> str:
    return re.sub(r"\{\w+\}", "1", path.replace("{job_id}", job_id))


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ServedApi]:
    async with sqlite_database(tmp_path) as database, served_api(database) as served:
        yield served


async def test_a_parameter_that_a_route_does_not_have_is_named_and_refused(api: ServedApi) -> None:
    """Before anything is looked up or done."""
    job_id = await api.submit()
    for method, path in PLAIN:
        answer = await api.client.request(method, f"{_target(path, job_id)}?colour=red", json={"all": True})
        assert (answer.status, answer.problem) == (422, "invalid-request"), path
        assert [error["field"] for error in answer.json()["errors"]] == ["query.colour"]
    assert await api.count_jobs() == 1
    assert (await api.services.progress.job("default", job_id)).status == "pending"


async def test_who_may_not_learns_nothing_of_parameters(api: ServedApi) -> None:
    key = await api.key()
    for method, path in PLAIN:
        assert (await api.client.request(method, f"{_target(path)}?colour=red")).status == 401
    assert (await api.client.get("/api/v1/review-fetch?colour=red", x_api_key=key)).status == 403


async def test_a_parameter_given_twice_is_refused_where_it_counts_once(api: ServedApi) -> None:
    """Of two values a proxy may read the first and the service the last: parameter pollution (ASVS 5.0 15.3.7)."""
    twice = await api.client.get("/api/v1/review-fetch?limit=1&limit=1000")
    assert [(error["field"], error["message"]) for error in twice.json()["errors"]] == [
        ("query.limit", "give this once")
    ]
    job_id = await api.submit()
    several = await api.client.get(f"/api/v1/review-fetch/{job_id}/reviews?rating=1&rating=2")
    assert several.status == 200


@pytest.mark.parametrize("path", OPEN_ROUTES)
async def test_a_probe_may_bring_what_it_likes(api: ServedApi, path: str) -> None:
    """Its machine adds parameters of its own, and takes 422 for a service that is down."""
    assert (await api.client.get(f"{path}?verbose&now=1")).status == 200
