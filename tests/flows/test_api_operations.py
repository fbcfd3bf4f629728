"""Health, quota, metrics, the document and its page, and what surrounds every answer."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.api.schemas import Readiness
from app.models.access import Scope
from app.telemetry.events import Event
from tests.support.api import TOKEN, ServedApi, served_api
from tests.support.asgi import AsgiClient
from tests.support.store import sqlite_database


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ServedApi]:
    async with sqlite_database(tmp_path) as database, served_api(database) as served:
        yield served


async def test_health_is_degraded_from_ninety_percent_on_and_still_200(tmp_path: Path) -> None:
    async with sqlite_database(tmp_path) as database, served_api(database, buffer_size=10, committing=False) as api:
        told = []
        for _ in range(10):
            await api.buffer.enqueue(None)  # type: ignore[arg-type] # only the number of items matters
            answer = await api.client.get("/api/v1/health")
            assert answer.status == 200
            told.append((answer.json()["status"], answer.json()["memory_used_percent"]))
        assert told[7:] == [("healthy", 80.0), ("degraded", 90.0), ("degraded", 100.0)]


async def test_a_service_that_cannot_work_says_which_part_is_away(tmp_path: Path) -> None:
    away = Readiness(ready=False, checks={"store": "ok", "broker": "no answer for 10 s"})
    async with sqlite_database(tmp_path) as database, served_api(database, readiness=away) as api:
        answer = await api.client.get("/readyz")
        assert (answer.status, answer.problem) == (503, "not-ready")
        assert answer.json()["checks"]["broker"] == "no answer for 10 s"
        assert "retry-after" in answer.headers
        assert (await api.client.get("/livez")).status == 200


@pytest.mark.parametrize(("query", "status"), [("?exclude=broker", 200), ("?exclude=topics&exclude=publisher", 503)])
async def test_parts_that_are_excluded_do_not_count_and_are_told(query: str, status: int, tmp_path: Path) -> None:
    """An orchestrator asks so whether clients can be served: without Kafka, jobs are accepted all the same."""
    away = Readiness(ready=False, checks={"store": "ok", "broker": "no answer for 10 s"})
    async with sqlite_database(tmp_path) as database, served_api(database, readiness=away) as api:
        answer = await api.client.get(f"/readyz{query}")
        assert answer.status == status
        assert answer.json()["checks"]["broker"] == "no answer for 10 s"


@pytest.mark.parametrize("part", ["store", "review_worker"])
async def test_what_every_answer_needs_cannot_be_excluded(part: str, tmp_path: Path) -> None:
    away = Readiness(ready=False, checks={"store": "ok", "broker": "ok", part: "away"})
    async with sqlite_database(tmp_path) as database, served_api(database, readiness=away) as api:
        assert (await api.client.get(f"/readyz?exclude={part}&exclude=broker")).status == 503


async def test_the_quota_is_shown_with_times_that_people_can_read(api: ServedApi) -> None:
    (budget,) = (await api.client.get("/api/v1/quota")).json()["budgets"]
    assert (budget["project"], budget["api"], budget["reason"]) == ("123456", "reviews", "Google answered 429")
    assert budget["closed_until"] == budget["next_call_at"] == "2023-11-14T22:14:20Z"
    assert budget["windows"] == [
        {"name": "minute", "limit": 300.0, "spent": 120.0, "left": 180.0, "resets_at": "2023-11-14T22:14:11.500000Z"}
    ]
    assert budget["shares"] == [{"holder": "replica-1", "calls": 20, "expires_at": "2023-11-14T22:13:22Z"}]


async def test_metrics_are_in_the_text_format_of_prometheus(api: ServedApi) -> None:
    answer = await api.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.body.startswith(b"# HELP")


async def test_the_root_names_the_service_and_links_that_work(api: ServedApi) -> None:
    told = (await api.client.get("/")).json()
    assert (told["name"], told["version"]) == ("review-fetcher", "1.2.3")
    assert [(await api.client.get(link)).status for link in told["links"].values()] == [200] * len(told["links"])


async def test_the_reference_page_has_every_operation_and_needs_nothing_from_elsewhere(api: ServedApi) -> None:
    page = await api.client.get("/docs")
    document = (await api.client.get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        assert all(f"<code>{method.upper()} {path}</code>" in page.text for method in methods)
    assert "http://" not in page.text and "https://" not in page.text and "<script" not in page.text  # noqa: PT018
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


async def test_every_error_is_documented_as_a_problem(api: ServedApi) -> None:
    document = (await api.client.get("/openapi.json")).json()
    for methods in document["paths"].values():
        for operation in methods.values():
            errors = {status: told for status, told in operation["responses"].items() if status >= "400"}
            assert {"500"} <= errors.keys()
            assert "security" not in operation or {"401", "403", "503"} <= errors.keys()
            assert all(list(told["content"]) == ["application/problem+json"] for told in errors.values())
            assert "description" in operation


async def test_every_reference_in_the_document_resolves(api: ServedApi) -> None:
    answer = await api.client.get("/openapi.json")
    schemas = answer.json()["components"]["schemas"]
    named = set(re.findall(r'"#/components/schemas/(\w+)"', answer.text))
    assert named <= schemas.keys()


async def test_every_answer_has_careful_headers_and_no_leave_for_other_origins(api: ServedApi) -> None:
    for answer in (
        await api.client.get("/", origin="http://elsewhere.example"),
        await api.client.get("/unknown", origin="http://elsewhere.example"),
        await api.client.post("/api/v1/review-fetch", {"access_token": TOKEN}),
    ):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_a_request_id_is_taken_over_if_it_is_harmless_and_made_otherwise(api: ServedApi) -> None:
    assert (await api.client.get("/livez", x_request_id="order-17")).headers["x-request-id"] == "order-17"
    for hostile in ("a b", "x" * 65, "", "a\nb"):
        answer = await api.client.get("/livez", x_request_id=hostile)
        assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])


async def test_an_unforeseen_error_tells_nothing_of_its_inside(
    api: ServedApi, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("postgresql://user:password@host")

    object.__setattr__(api.services, "quota", broken)
    answer = await api.client.get("/api/v1/quota", x_request_id="order-17")
    assert (answer.status, answer.problem) == (500, "internal")
    assert "password" not in answer.text
    assert answer.headers["x-request-id"] == "order-17"
    assert Event.REQUEST_FAILED in "".join(capsys.readouterr())


async def test_callers_from_elsewhere_need_a_key_although_there_is_none_yet(api: ServedApi) -> None:
    for client in (AsgiClient(api.app, client=("192.168.1.7", 1)), AsgiClient(api.app, host="rebound.example")):
        answer = await client.post("/api/v1/review-fetch", {"access_token": TOKEN})
        assert (answer.status, answer.problem) == (401, "unauthenticated")


async def test_the_first_key_closes_the_open_door(tmp_path: Path) -> None:
    async with sqlite_database(tmp_path) as database, served_api(database) as api:
        key = await api.key(Scope.READ)
        assert (await api.client.get("/api/v1/review-fetch")).status == 401
        assert (await api.client.get("/api/v1/review-fetch", authorization=f"Bearer {key}")).status == 200


async def test_a_new_token_is_sealed_for_its_job(api: ServedApi) -> None:
    job_id = await api.submit()
    answer = await api.client.put(f"/api/v1/review-fetch/{job_id}/token", {"access_token": TOKEN + "-new"})
    assert (answer.status, answer.json()["job_id"]) == (200, job_id)
    assert TOKEN not in answer.text


@pytest.mark.parametrize(
    ("format_", "media_type"), [("ndjson", "application/x-ndjson"), ("csv", "text/csv; charset=utf-8")]
)
async def test_the_reviews_of_a_job_come_as_a_file(api: ServedApi, format_: str, media_type: str) -> None:
    answer = await api.client.get(f"/api/v1/review-fetch/{await api.submit()}/reviews?format={format_}")
    assert (answer.status, answer.headers["content-type"]) == (200, media_type)


async def test_a_job_without_reviews_has_an_empty_page_and_an_empty_feed(api: ServedApi) -> None:
    page = await api.client.get(f"/api/v1/review-fetch/{await api.submit()}/reviews")
    assert page.json() == {"reviews": [], "next_cursor": None}
    assert (await api.client.get("/api/v1/reviews/feed")).json()["reviews"] == []
