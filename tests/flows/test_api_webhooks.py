"""Callbacks over HTTP: which URLs are taken, what is shown of them, sending again, and secrets."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.credentials import Purpose
from app.models.access import DEFAULT_TENANT, Scope
from app.store.database import Transaction
from app.store.schema import callbacks
from tests.support.api import SEALER, TOKEN, ServedApi, served_api
from tests.support.store import sqlite_database

SUBMIT = "/api/v1/review-fetch"
SECRETS = "/api/v1/webhooks/secrets"
SECRET = "nobody-may-read-this"
URL = f"https://Example.com:8443/hooks/a%20b?key={SECRET}&b=%2F"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ServedApi]:
    async with sqlite_database(tmp_path) as database, served_api(database) as served:
        yield served


async def ended(api: ServedApi, url: str = URL) -> str:
    """A job that was cancelled, and has a message to tell."""
    job_id = await api.submit(url)
    await api.services.job_control.cancel(DEFAULT_TENANT, job_id)
    return job_id


def _callbacks(transaction: Transaction) -> list[dict[str, Any]]:
    return [dict(row) for row in transaction.connection.execute(select(callbacks)).mappings()]


async def test_a_callback_is_sealed_for_its_job_and_shown_without_its_query(api: ServedApi) -> None:
    job_id = await api.submit(URL)
    (row,) = await api.database.read(_callbacks)
    assert (row["job_id"], row["tenant"], row["key_id"]) == (job_id, "default", "key-1")
    assert row["shown_url"] == "https://Example.com:8443/hooks/a%20b"
    assert SECRET.encode() not in row["sealed_url"]
    assert SEALER.open("default", job_id, row["sealed_url"], Purpose.CALLBACK) == URL
    shown = await api.client.get(f"{SUBMIT}/{job_id}/webhooks")
    assert shown.json() == {"callback_url": row["shown_url"], "items": []}


@pytest.mark.parametrize("body", [{}, {"callback_url": None}])
async def test_a_job_without_a_callback_has_none(api: ServedApi, body: dict[str, None]) -> None:
    answer = await api.client.post(SUBMIT, {"access_token": TOKEN} | body)
    shown = await api.client.get(f"{answer.headers['location']}/webhooks")
    assert shown.json() == {"callback_url": None, "items": []}
    assert await api.database.read(_callbacks) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "http://example.com/hook",
        "HTTPS://EXAMPLE.COM/hook",
        "https://example.com:1/?a=@b",
        "https://93.184.216.34/hook",
        "https://[2606:4700::1111]:8443/hook",
        "https://xn--bcher-kva.example/",
        "https://example.com/" + "x" * (2_048 - 20),
    ],
)
async def test_a_usable_url_is_taken_as_it_is(api: ServedApi, url: str) -> None:
    job_id = await api.submit(url)
    (row,) = await api.database.read(_callbacks)
    assert SEALER.open("default", job_id, row["sealed_url"], Purpose.CALLBACK) == url


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "visible ASCII"),
        ("example.com/hook", "looks like https://"),
        ("ftp://example.com/", "looks like https://"),
        ("file:///etc/passwd", "looks like https://"),
        ("gopher://example.com/", "looks like https://"),
        ("javascript:alert(1)", "looks like https://"),
        ("https://", "looks like https://"),
        ("https:///hook", "looks like https://"),
        ("https://?a", "looks like https://"),
        ("https:example.com", "looks like https://"),
        ("//example.com/", "looks like https://"),
        ("https://user@example.com/", "no user name or password"),
        ("https://user:pass@example.com/", "no user name or password"),
        ("https://@example.com/", "no user name or password"),
        ("https://example.com@evil.example/", "no user name or password"),
        ("https://example.com/#part", "no fragment"),
        ("https://example.com/#", "no fragment"),
        ("https://example.com\\@evil.example/", "looks like https://"),
        ("https://example.com:0/", "looks like https://"),
        ("https://example.com:65536/", "looks like https://"),
        ("https://example.com:port/", "looks like https://"),
        ("https://[::1/", "looks like https://"),
        ("https://example.com/a b", "visible ASCII"),
        ("https://example.com/a\r\nHost: evil", "visible ASCII"),
        ("https://example.com/\t", "visible ASCII"),
        ("https://example.com/\x7f", "visible ASCII"),
        ("https://bücher.example/", "visible ASCII"),
        ("https://example.com/" + "x" * 2_048, "at most 2048 characters"),
        (7, "string"),
        (["https://example.com"], "string"),
    ],
)
async def test_an_unusable_url_is_refused_in_words_that_do_not_repeat_it(api: ServedApi, url: Any, told: str) -> None:
    given = f"{url}?key={SECRET}" if url and isinstance(url, str) else url
    answer = await api.client.post(SUBMIT, {"access_token": TOKEN, "callback_url": given})
    assert (answer.status, answer.problem) == (422, "invalid-request")
    (error,) = answer.json()["errors"]
    assert error["field"] == "body.callback_url"
    assert told in error["message"]
    assert SECRET not in answer.text
    assert await api.count_jobs() == 0


async def test_the_same_key_with_another_callback_is_another_body(api: ServedApi) -> None:
    first = await api.submit(URL, idempotency_key="order-1")
    assert await api.submit(URL, idempotency_key="order-1") == first
    other = {"access_token": TOKEN, "callback_url": "https://example.com/other"}
    answer = await api.client.post(SUBMIT, other, idempotency_key="order-1")
    assert (answer.status, answer.problem) == (422, "idempotency-key-reused")
    assert len(await api.database.read(_callbacks)) == 1


async def test_a_new_token_brings_no_callback(api: ServedApi) -> None:
    job_id = await api.submit()
    answer = await api.client.put(f"{SUBMIT}/{job_id}/token", {"access_token": TOKEN, "callback_url": URL})
    assert (answer.status, answer.problem) == (422, "invalid-request")


async def test_a_message_is_listed_and_can_be_sent_again(api: ServedApi) -> None:
    job_id = await ended(api)
    (item,) = (await api.client.get(f"{SUBMIT}/{job_id}/webhooks")).json()["items"]
    assert item.keys() == set(
        "id message_id event status attempts next_attempt_at answered last_error created_at delivered_at".split()
    )
    assert (item["event"], item["status"], item["attempts"]) == ("review_fetch.cancelled", "waiting", 0)
    again = await api.client.post(f"{SUBMIT}/{job_id}/webhooks/{item['id']}/resend", {})
    assert again.status == 200
    assert again.json()["message_id"] == item["message_id"]


@pytest.mark.parametrize("number", ["0", "-1", "x", "9223372036854775808"])
async def test_what_can_be_no_id_is_refused(api: ServedApi, number: str) -> None:
    job_id = await ended(api)
    answer = await api.client.post(f"{SUBMIT}/{job_id}/webhooks/{number}/resend", {})
    assert (answer.status, answer.problem) == (422, "invalid-request")


async def test_a_message_of_another_job_or_of_none_is_not_found(api: ServedApi) -> None:
    first, other = await ended(api), await ended(api)
    (item,) = (await api.client.get(f"{SUBMIT}/{first}/webhooks")).json()["items"]
    for number in (item["id"], 999):
        answer = await api.client.post(f"{SUBMIT}/{other}/webhooks/{number}/resend", {})
        assert (answer.status, answer.problem) == (404, "webhook-not-found")


async def test_each_tenant_has_secrets_of_its_own_that_no_cache_keeps(api: ServedApi) -> None:
    keys = [await api.key(Scope.ADMIN, tenant=tenant) for tenant in ("default", "acme")]
    answers = [await api.client.get(SECRETS, x_api_key=key) for key in keys]
    (ours,), (theirs,) = (answer.json()["secrets"] for answer in answers)
    assert ours.startswith("whsec_")
    assert ours != theirs
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
