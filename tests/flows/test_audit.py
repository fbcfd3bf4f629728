"""Every deed has its entry: each route that changes something, each form of the console, each command. ASVS 5.0 V16."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from app.api.application import create_api
from app.models.access import DEFAULT_TENANT, Scope
from app.models.audit import Action
from app.models.audit_views import AuditEntryView
from app.results.audit import ADDRESS_SECONDS, ENTRIES_A_MINUTE
from app.store.audit import newest_entries
from app.store.keys import prefix_of
from tests.flows.test_console_access import ROUTES as PAGES
from tests.support.api import TOKEN
from tests.support.asgi import Answer, AsgiClient
from tests.support.clock import ManualClock
from tests.support.console import ServedConsole
from tests.support.jobs import given_up

CLIENT = ("203.0.113.7", 40000)
REQUEST_ID = "request-of-this-test"

CANARIES = (
    TOKEN,
    "1//a-refresh-token-of-a-canary",
    "a-client-secret-of-a-canary",
    "canary-in-a-query",
    "Good",
    "A. Guest",
)
"""Tokens, grants, what a callback's query may hold, and what reviews say: in no entry."""

GRANT = {"refresh_token": CANARIES[1], "client_id": "client.example", "client_secret": CANARIES[2]}


@dataclass(frozen=True)
class Deed:
    """What a route does, to a job that was made ready; `subject` None: the job."""

    action: Action
    body: Any = None
    subject: str | None = None


SUBMIT = Deed(
    Action.JOB_SUBMIT, {"access_token": TOKEN, "callback_url": f"https://example.com/hook?{CANARIES[3]}"}, "new"
)

ROUTES: dict[tuple[str, str], Deed] = {
    ("POST", "/api/v1/review-fetch"): SUBMIT,
    ("POST", "/api/v1/review-fetch/{job_id}/cancel"): Deed(Action.JOB_CANCEL),
    ("POST", "/api/v1/review-fetch/{job_id}/pause"): Deed(Action.JOB_PAUSE),
    ("POST", "/api/v1/review-fetch/{job_id}/resume"): Deed(Action.JOB_RESUME),
    ("PUT", "/api/v1/review-fetch/{job_id}/token"): Deed(Action.JOB_REPLACE_TOKEN, {"access_token": TOKEN} | GRANT),
    ("POST", "/api/v1/review-fetch/{job_id}/webhooks/{webhook_id}/resend"): Deed(Action.WEBHOOK_RESEND),
    ("POST", "/api/v1/keys"): Deed(Action.KEY_CREATE, {"name": "for the import"}, "new"),
    ("POST", "/api/v1/keys/{key_id}/rotate"): Deed(Action.KEY_ROTATE, {}, "other key"),
    ("DELETE", "/api/v1/keys/{key_id}"): Deed(Action.KEY_REVOKE, None, "other key"),
    ("DELETE", "/api/v1/review-fetch/{job_id}"): Deed(Action.ERASE),
    ("POST", "/api/v1/erasures"): Deed(Action.ERASE, {"reviewer": "A. Guest"}, "1"),
    ("POST", "/api/v1/dlq/redrive"): Deed(Action.DEAD_LETTERS_REDRIVE, {"all": True}, ""),
}
"""Whatever is no GET in the OpenAPI document."""

TAKING = {
    f"/api/v1/review-fetch/{{job_id}}/reviews?format={form}": Deed(Action.REVIEWS_EXPORT)
    for form in ("ndjson", "csv", "parquet")
} | {"/api/v1/webhooks/secrets": Deed(Action.WEBHOOK_SECRETS, subject="")}
"""What a GET hands out and nobody should get unnoticed."""

FORMS: dict[str, Deed] = {
    "/jobs/new": Deed(Action.JOB_SUBMIT, {"access_token": TOKEN}, "new"),
    "/jobs/{job_id}/cancel": Deed(Action.JOB_CANCEL),
    "/jobs/{job_id}/pause": Deed(Action.JOB_PAUSE),
    "/jobs/{job_id}/resume": Deed(Action.JOB_RESUME),
    "/jobs/{job_id}/token": Deed(Action.JOB_REPLACE_TOKEN, {"access_token": TOKEN} | GRANT),
    "/jobs/{job_id}/webhooks/{webhook_id}/resend": Deed(Action.WEBHOOK_RESEND),
    "/dead-letters/redrive": Deed(Action.DEAD_LETTERS_REDRIVE, {"which": "all", "confirmed": "yes"}, ""),
    "/sign-in": Deed(Action.SIGN_IN, subject="key"),
    "/sign-out": Deed(Action.SIGN_OUT, subject="key"),
}
"""Whatever is no GET in the console."""

DOWNLOADS = [f"/jobs/{{job_id}}/reviews/{form}" for form in ("ndjson", "csv", "parquet")]


def test_every_route_and_form_that_changes_something_is_tried_here() -> None:
    document = create_api(version="0").openapi()["paths"]
    routes = {(method.upper(), path) for path, methods in document.items() for method in methods}
    assert {route for route in routes if route[0] != "GET"} == set(ROUTES)
    assert {path for method, path in PAGES if method != "GET"} == set(FORMS)


def calling(served: ServedConsole, key: str, host: str = CLIENT[0]) -> AsgiClient:
    headers: dict[str, Any] = {"x-api-key": key}
    return AsgiClient(served.api.app, client=(host, 40000), **headers)


async def newest(served: ServedConsole) -> list[AuditEntryView]:
    return await served.api.database.read(newest_entries, DEFAULT_TENANT, 1000, None)


async def ready_for(served: ServedConsole, path: str) -> str:
    """A job to which this can be done, on a store with keys."""
    services = served.api.services
    if "redrive" in path:
        return (await given_up(served.api.database)).id
    job_id = await served.api.submit("https://example.com/hook", x_api_key=await served.api.key(Scope.ADMIN))
    if path.endswith("/resume"):
        await services.job_control.pause(DEFAULT_TENANT, job_id)
    if "{webhook_id}" in path or path == "/api/v1/review-fetch/{job_id}":
        await services.job_control.cancel(DEFAULT_TENANT, job_id)
    return job_id


def placed(path: str, job_id: str) -> str:
    return path.replace("{job_id}", job_id).replace("{webhook_id}", "1")


async def the_entry_of(served: ServedConsole, deed: Deed, do: Callable[[], Awaitable[Answer]]) -> AuditEntryView:
    """Do it, and find exactly one entry more."""
    before = await newest(served)
    answer = await do()
    assert answer.status in (200, 201, 202, 303), answer.text
    entry, *others = await newest(served)
    assert others == before
    assert entry.action == deed.action
    assert (entry.address, entry.request_id) == (CLIENT[0], REQUEST_ID)
    if deed.subject == "new":
        assert entry.subject in answer.text + answer.headers.get("location", "")
    shown = entry.model_dump_json()
    assert [canary for canary in CANARIES if canary[:12] in shown] == []
    return entry


@pytest.mark.parametrize(("method", "path"), [*ROUTES, *(("GET", path) for path in TAKING)])
async def test_a_call_is_written_down_with_its_key_its_address_and_its_request(
    served: ServedConsole, method: str, path: str
) -> None:
    deed = ROUTES.get((method, path)) or TAKING[path]
    job_id, key = await ready_for(served, path), await served.api.key(Scope.ADMIN)
    other = prefix_of(await served.api.key()) or ""
    client, target = AsgiClient(served.api.app, client=CLIENT), placed(path, job_id).replace("{key_id}", other)
    headers = {"x-api-key": key, "x-request-id": REQUEST_ID}
    entry = await the_entry_of(served, deed, lambda: client.request(method, target, json=deed.body, headers=headers))
    assert entry.actor == prefix_of(key)
    assert entry.tenant == DEFAULT_TENANT
    if deed.subject != "new":
        assert entry.subject == {None: job_id, "other key": other}.get(deed.subject, deed.subject)


@pytest.mark.parametrize("path", [*FORMS, *DOWNLOADS])
async def test_what_is_done_in_a_browser_is_written_down_with_the_key_that_signed_in(
    served: ServedConsole, path: str
) -> None:
    deed = FORMS.get(path, Deed(Action.REVIEWS_EXPORT))
    job_id, key = await ready_for(served, path), await served.api.key(Scope.ADMIN)
    browser = served.browser(CLIENT)
    browser.headers["x-request-id"] = REQUEST_ID
    if path == "/sign-in":
        await browser.get("/console/sign-in")
    else:
        await browser.sign_in(key)
        await browser.get("/console/jobs")
    target = f"/console{placed(path, job_id)}"
    fields = {"key": key} if path == "/sign-in" else deed.body or {}
    entry = await the_entry_of(
        served, deed, lambda: browser.get(target) if path in DOWNLOADS else browser.post(target, **fields)
    )
    prefix = prefix_of(key) or ""
    assert entry.actor == f"console:{prefix}"
    if deed.subject != "new":
        assert entry.subject == {None: job_id, "key": prefix}.get(deed.subject, deed.subject)


async def test_a_caller_without_a_key_is_nobody(served: ServedConsole) -> None:
    job_id = await served.api.submit()
    browser = served.browser()
    await browser.get(f"/console/jobs/{job_id}")
    await browser.post(f"/console/jobs/{job_id}/pause")
    assert [entry.actor for entry in await newest(served)] == ["console:nobody", "nobody"]


async def test_a_request_id_that_is_a_secret_is_not_kept(served: ServedConsole) -> None:
    await served.api.submit(x_request_id="ya29.a-token-in-the-wrong-header")
    assert [entry.request_id for entry in await newest(served)] == ["[redacted]"]


async def test_looking_and_failing_and_repeating_are_no_deeds(served: ServedConsole) -> None:
    key = await served.api.key(Scope.ADMIN)
    job_id = await served.api.submit(x_api_key=key, idempotency_key="once")
    before, client = await newest(served), calling(served, key)
    assert await served.api.submit(x_api_key=key, idempotency_key="once") == job_id
    for path in (
        "/api/v1/review-fetch",
        f"/api/v1/review-fetch/{job_id}/reviews",
        "/api/v1/reviews/feed",
        "/api/v1/audit",
    ):
        assert (await client.get(path)).status == 200
    assert (await client.post(f"/api/v1/review-fetch/{job_id}/resume", None)).status == 409
    assert (await client.post("/api/v1/review-fetch/no-such-job/cancel", None)).status == 404
    assert (await client.post("/api/v1/review-fetch", {"access_token": "x"})).status == 422
    assert (await client.post("/api/v1/dlq/redrive", {"all": True, "dry_run": True})).status == 200
    assert (await client.post("/api/v1/dlq/redrive", {"all": True})).json()["redriven"] == 0
    reader = calling(served, await served.api.key(Scope.READ))
    assert (await reader.post(f"/api/v1/review-fetch/{job_id}/cancel", None)).status == 403
    assert await newest(served) == before


async def test_the_log_is_read_page_by_page_by_administrators_of_the_tenant(served: ServedConsole) -> None:
    """API1:2023, API5:2023."""
    key, theirs = await served.api.key(Scope.ADMIN), await served.api.key(Scope.ADMIN, tenant="other")
    ids = [await served.api.submit(x_api_key=key) for _ in range(3)]
    client, other = (calling(served, one) for one in (key, theirs))
    first = (await client.get("/api/v1/audit?limit=2")).json()
    rest = (await client.get(f"/api/v1/audit?limit=2&after={first['next_cursor']}")).json()
    assert [entry["subject"] for entry in first["entries"] + rest["entries"]] == ids
    assert (first["more"], rest["more"]) == (True, False)
    assert (await other.get("/api/v1/audit")).json()["entries"] == []
    answer = await other.get(f"/api/v1/audit?after={first['next_cursor']}")
    assert (answer.status, answer.problem) == (422, "bad-cursor")
    only = (await client.get(f"/api/v1/audit?subject={ids[1]}&action=job.submit&actor={prefix_of(key)}")).json()
    assert [entry["subject"] for entry in only["entries"]] == [ids[1]]
    for query in ("action=job.unknown", "since=yesterday", "tenant=other", "limit=0", "subject=a%00b"):
        assert (await client.get(f"/api/v1/audit?{query}")).problem == "invalid-request"


async def test_the_page_of_the_console_shows_hostile_text_as_text_and_goes_back_page_by_page(
    served: ServedConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.console.routes.operations.ENTRIES_A_PAGE", 2)
    key = await served.api.key(Scope.ADMIN)
    for _ in range(3):
        await served.api.submit(x_api_key=key, x_request_id="a.b-c_d")
    await served.api.database.write(_plant_hostile)
    browser = served.browser()
    await browser.sign_in(key)
    page = (await browser.get("/console/audit")).text
    assert "sign_in" in page
    assert "<script>" not in page.partition("<main")[2]
    assert "&lt;script&gt;" in page
    (older,) = {part.partition('"')[0] for part in page.split("/console/audit?before=")[1:]}
    assert "a.b-c_d" in (await browser.get(f"/console/audit?before={older}")).text


def _plant_hostile(transaction: Any) -> None:
    text = "<script>alert(1)</script>"
    transaction.connection.exec_driver_sql(
        "INSERT INTO audit_log (at, tenant, actor, action, subject, address, request_id, detail)"
        " VALUES (1, 'default', ?, ?, ?, ?, ?, ?)",
        (text, text, text, text, text, json.dumps({text: text})),
    )


async def test_wrong_keys_are_written_down_and_cannot_fill_the_log(served: ServedConsole, clock: ManualClock) -> None:
    """ASVS 5.0 V16; API4:2023."""
    key = await served.api.key(Scope.READ, tenant="acme")
    await served.api.submit(x_api_key=await served.api.key(Scope.ADMIN))

    async def tried(wrong: str, host: str) -> int:
        client = calling(served, wrong, host)
        return (await client.get("/api/v1/review-fetch")).status

    assert {await tried(key + "x", "203.0.113.7") for _ in range(5)} == {401}
    await clock.advance(ADDRESS_SECONDS)
    assert await tried("wrong", "203.0.113.7") == 401
    acme = await served.api.database.read(newest_entries, "acme", 10, None)
    assert [(entry.subject, entry.actor, entry.detail) for entry in acme] == [
        (prefix_of(key), "nobody", {"failures": 1})
    ]
    last, *_ = await newest(served)
    assert (last.action, last.subject, last.detail) == (Action.SIGN_IN_FAILED, "", {"failures": 5})
    await clock.advance(ADDRESS_SECONDS)
    for number in range(3 * ENTRIES_A_MINUTE):
        await tried("wrong", f"198.51.100.{number}")
    failed = [entry for entry in await newest(served) if entry.action == Action.SIGN_IN_FAILED]
    assert len(failed) == 1 + ENTRIES_A_MINUTE
    assert key not in "".join(entry.model_dump_json() for entry in [*acme, *failed])


async def test_a_request_without_a_key_is_no_attempt(served: ServedConsole) -> None:
    await served.api.submit(x_api_key=await served.api.key(Scope.ADMIN))
    before = await newest(served)
    assert (await AsgiClient(served.api.app).get("/api/v1/review-fetch")).status == 401
    assert await newest(served) == before
