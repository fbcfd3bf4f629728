"""What another tenant has is answered exactly like what nobody has: status, body and headers, wherever it is named.

In paths, queries and bodies; as cursors, event ids and idempotency keys; over the API and in the console. (API1:2023;
ASVS 5.0 8.2.2, 8.4.1.) Both tenants have jobs, reviews, dead letters and webhooks of their own.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from app.models.access import Scope
from app.models.job import JobStatus
from app.store.cursors import DeadLettersCursor, JobsCursor, LocationsCursor, ReviewsCursor, encode, encode_of_tenant
from app.store.database import Database, Transaction
from app.store.schema import dead_letters, jobs, metadata, webhooks
from app.store.submit import Callback
from tests.flows.test_access_matrix import ROUTES
from tests.support import store
from tests.support.api import TOKEN
from tests.support.asgi import Answer
from tests.support.console import Browser, ServedConsole, served_console
from tests.support.jobs import finished, given_up

MINE, THEIRS = "mine", "default"
JOBS = "/api/v1/review-fetch"


@dataclass(frozen=True)
class Has:
    """What a tenant has: a completed job, its webhook, a job that was given up, and its dead letter."""

    job: str
    webhook: int
    given_up: str
    letter: int


@dataclass
class World:
    """`key` is mine and may do everything, to what is mine."""

    served: ServedConsole
    key: str
    mine: Has
    theirs: Has

    async def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        sent = {"x-request-id": "fixed", "x-api-key": self.key} | headers
        return await self.served.api.client.request(method, target, json=body, headers=sent)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(store, "CALLBACK", Callback("key-1", b"sealed", "https://example.com/hook"))
    async with store.sqlite_database(tmp_path) as database, served_console(database) as served:
        theirs = await _has(database)
        await database.write(_hand_over, "kept")
        mine = await _has(database)
        await database.write(_hand_over, MINE)
        await database.write(_hand_over, THEIRS, "kept")
        yield World(served, await served.api.key(Scope.ADMIN, tenant=MINE), mine, theirs)


async def _has(database: Database) -> Has:
    job = await finished(database, {"locations/1": ["a", "b", "c"]})
    dead = await given_up(database)
    letter, webhook = await database.read(_numbers, dead.id, job)
    return Has(job, webhook, dead.id, letter)


def _numbers(transaction: Transaction, dead: str, job: str) -> tuple[int, int]:
    letter = select(dead_letters.c.id).where(dead_letters.c.job_id == dead)
    webhook = select(webhooks.c.id).where(webhooks.c.job_id == job)
    return tuple(transaction.connection.execute(one).scalar_one() for one in (letter, webhook))


def _hand_over(transaction: Transaction, to: str, of: str = THEIRS) -> None:
    """Everything that one tenant has is another's from now on."""
    for table in metadata.sorted_tables:
        if "tenant" in table.c and table.name != "audit_log":  # which is only added to
            transaction.connection.execute(table.update().where(table.c.tenant == of).values(tenant=to))


def _told(answer: Answer) -> tuple[int, dict[str, str], str]:
    return answer.status, answer.headers, answer.text


OF_A_JOB = [
    (method, path.removeprefix(JOBS), suffix)
    for method, path in ROUTES
    if "{job_id}" in path and "{webhook_id}" not in path
    for suffix in (
        ["", "?format=ndjson", "?format=csv", "?format=parquet", "?limit=1", "?location=locations/1", "?text=Good"]
        if path.endswith("/reviews")
        else ["?gaps=true", "?account=accounts/1", ""]
        if path.endswith("/locations")
        else [""]
    )
]


@pytest.mark.parametrize(("method", "path", "suffix"), OF_A_JOB)
async def test_a_job_in_a_path(world: World, method: str, path: str, suffix: str) -> None:
    body = {"access_token": TOKEN} if method == "PUT" else None
    ids = (world.theirs.job, world.theirs.given_up, str(uuid4()))
    answers = [await world.ask(method, JOBS + path.replace("{job_id}", id_) + suffix, body) for id_ in ids]
    assert answers[0].problem == "job-not-found"
    assert _told(answers[0]) == _told(answers[1]) == _told(answers[2])


async def test_a_dead_letter_and_a_webhook_in_a_path(world: World) -> None:
    letters = [await world.ask("GET", f"/api/v1/dlq/{id_}") for id_ in (world.theirs.letter, 10**9)]
    assert letters[0].problem == "dead-letter-not-found"
    assert _told(letters[0]) == _told(letters[1])
    resend = f"{JOBS}/{{}}/webhooks/{{}}/resend"
    mine = [resend.format(world.mine.job, id_) for id_ in (world.theirs.webhook, 10**9)]
    theirs = [resend.format(id_, world.theirs.webhook) for id_ in (world.theirs.job, str(uuid4()))]
    for pair, word in ((mine, "webhook-not-found"), (theirs, "job-not-found")):
        answers = [await world.ask("POST", target) for target in pair]
        assert answers[0].problem == word
        assert _told(answers[0]) == _told(answers[1])
    assert (await world.ask("GET", f"/api/v1/dlq/{world.mine.letter}")).status == 200
    assert (await world.ask("POST", resend.format(world.mine.job, world.mine.webhook))).status == 200


async def test_a_job_in_a_query(world: World) -> None:
    for path in ("/api/v1/dlq", "/api/v1/dlq/causes"):
        theirs, unknown, mine = [
            await world.ask("GET", f"{path}?job_id={id_}")
            for id_ in (world.theirs.given_up, str(uuid4()), world.mine.given_up)
        ]
        assert _told(theirs) == _told(unknown)
        assert mine.status == 200
        assert mine.body != theirs.body


async def test_dead_letters_and_jobs_in_a_body(world: World) -> None:
    redrive = "/api/v1/dlq/redrive"
    ways: list[tuple[dict[str, Any], dict[str, Any]]] = [({"ids": [world.theirs.letter]}, {"ids": [10**9]})]
    ways += [({"filter": {"job_id": world.theirs.given_up}}, {"filter": {"job_id": str(uuid4())}})]
    for theirs, unknown in ways:
        for dry in ({"dry_run": True}, {"include_parked": True}):
            answers = [await world.ask("POST", redrive, body | dry) for body in (theirs, unknown)]
            assert answers[0].json() == {"matched": 0, "redriven": 0, "parked": 0}
            assert _told(answers[0]) == _told(answers[1])
    assert (await world.ask("POST", redrive, {"all": True})).json()["redriven"] == 1
    job = await world.served.api.services.progress.job(THEIRS, world.theirs.given_up)
    assert job.status is JobStatus.DLQ


async def test_cursors_of_theirs_lead_nowhere_and_tell_nothing(world: World) -> None:
    created_at = await world.served.api.database.read(_created_at, world.theirs.given_up)
    given_up = JobsCursor(created_at, world.theirs.given_up)
    for cursor, path in ((given_up, JOBS), (DeadLettersCursor(world.theirs.letter + 1), "/api/v1/dlq")):
        answer = await world.ask("GET", f"{path}?cursor={encode_of_tenant(cursor, THEIRS)}")
        assert answer.problem == "bad-cursor"
    made_up = [given_up, JobsCursor(created_at, str(uuid4()))]
    answers = [await world.ask("GET", f"{JOBS}?cursor={encode_of_tenant(cursor, MINE)}") for cursor in made_up]
    assert _told(answers[0]) == _told(answers[1])
    behind = encode_of_tenant(DeadLettersCursor(world.theirs.letter + 1), MINE)
    assert (await world.ask("GET", f"/api/v1/dlq?cursor={behind}")).json()["items"] == []
    for kind, path, rest in ((LocationsCursor, "locations", ["locations/0"]), (ReviewsCursor, "reviews", ["l", "a"])):
        cursors = [encode(kind(id_, *rest)) for id_ in (world.theirs.job, str(uuid4()))]
        answers = [await world.ask("GET", f"{JOBS}/{world.mine.job}/{path}?cursor={cursor}") for cursor in cursors]
        assert answers[0].problem == "bad-cursor"
        assert _told(answers[0]) == _told(answers[1])


def _created_at(transaction: Transaction, job_id: str) -> float:
    return float(transaction.connection.execute(select(jobs.c.created_at).where(jobs.c.id == job_id)).scalar_one())


async def test_listings_feed_and_overview_are_of_one_tenant(world: World) -> None:
    for target in (JOBS, "/api/v1/reviews/feed", "/api/v1/dlq", "/api/v1/overview", "/api/v1/dlq/causes"):
        text = (await world.ask("GET", target)).text
        assert world.theirs.job not in text
        assert world.theirs.given_up not in text
    assert len((await world.ask("GET", JOBS)).json()["jobs"]) == 2
    assert {one["job_id"] for one in (await world.ask("GET", "/api/v1/reviews/feed")).json()["reviews"]} == {
        world.mine.job
    }
    assert (await world.ask("GET", "/api/v1/overview")).json()["jobs"]["completed"] == 1


async def test_their_last_event_is_no_event_of_mine(world: World) -> None:
    stream = await world.served.api.client.get(
        f"{JOBS}/{world.theirs.job}/events", x_api_key=await world.served.api.key(Scope.READ, tenant=THEIRS)
    )
    last = re.findall(r"^id: (.+)$", stream.text, re.MULTILINE)[-1]
    theirs, unknown = [
        await world.ask("GET", f"{JOBS}/{id_}/events", last_event_id=last) for id_ in (world.theirs.job, str(uuid4()))
    ]
    assert theirs.problem == "job-not-found"
    assert _told(theirs) == _told(unknown)


async def test_their_idempotency_key_is_free(world: World) -> None:
    """Also with another body, which for its owner is refused."""
    theirs = await world.served.api.key(Scope.SUBMIT, tenant=THEIRS)
    first = await world.ask("POST", JOBS, {"access_token": TOKEN}, idempotency_key="k", x_api_key=theirs)
    mine = await world.ask("POST", JOBS, {"access_token": TOKEN + "-mine"}, idempotency_key="k")
    fresh = await world.ask("POST", JOBS, {"access_token": TOKEN + "-mine"}, idempotency_key="k2")
    assert [first.status, mine.status, fresh.status] == [202, 202, 202]
    assert len({answer.json()["job_id"] for answer in (first, mine, fresh)}) == 3
    assert mine.headers.keys() == fresh.headers.keys()


IN_THE_CONSOLE = [
    "GET /jobs/{job}", "GET /jobs/{job}/events", "GET /jobs/{job}/accounts", "GET /jobs/{job}/locations",
    "GET /jobs/{job}/reviews", "GET /jobs/{job}/review?location=locations/1&review_id=a", "GET /jobs/{job}/webhooks",
    "GET /jobs/{job}/reviews/ndjson", "GET /jobs/{job}/reviews/csv", "GET /jobs/{job}/reviews/parquet",
    "GET /dead-letters/{letter}", "GET /dead-letters?job_id={job}", "POST /jobs/{job}/cancel", "POST /jobs/{job}/pause",
    "POST /jobs/{job}/resume", "POST /jobs/{job}/token", "POST /jobs/{job}/webhooks/{webhook}/resend",
    "POST /jobs/{mine}/webhooks/{webhook}/resend",
]  # fmt: skip


@pytest.mark.parametrize("route", IN_THE_CONSOLE)
async def test_pages_and_forms_of_the_console(world: World, route: str) -> None:
    """The addresses that a page repeats are those that were asked for; the rest is the same."""
    method, _, path = route.partition(" ")
    browser = world.served.browser()
    await browser.sign_in(world.key)
    await browser.get("/console/jobs")
    unknown = Has(str(uuid4()), 10**9, str(uuid4()), 10**9)
    answers = [await _visit(browser, method, path, has, world.mine.job) for has in (world.theirs, unknown)]
    assert answers[0] == answers[1]
    assert answers[0][0] == (200 if "?job_id" in path else 404)


async def _visit(browser: Browser, method: str, path: str, has: Has, mine: str) -> tuple[int, dict[str, str], str]:
    target = "/console" + path.format(job=has.job, letter=has.letter, webhook=has.webhook, mine=mine)
    headers = {"x-request-id": "fixed"}
    sent = browser.get(target, **headers) if method == "GET" else browser.post(target, access_token=TOKEN)
    answer = await sent
    told = {name: value for name, value in answer.headers.items() if name not in ("x-request-id", "content-length")}
    text = re.sub(rf"{re.escape(has.job)}|(?<=/)(?:{has.letter}|{has.webhook})\b", "-", answer.text)
    return answer.status, told, text
