"""What the commands work with answers alike, whether it is a running service over HTTP or the store itself."""

import asyncio
import base64
import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any

import pytest
from pyarrow import parquet
from pydantic import SecretStr

from app.api.schemas import ReviewFetchRequest, TokenReplacement
from app.cli.backend import Backend
from app.cli.event_source import EventSource
from app.cli.exits import told
from app.cli.local_service import LocalService
from app.cli.remote import Service
from app.config import load_settings
from app.credentials import KEY_BYTES
from app.models.audit import Action
from app.models.audit_views import ALL_ENTRIES, AuditFilter
from app.models.erasure import ErasureRequest
from app.models.errors import (
    BadCursorError,
    DeadLetterNotFoundError,
    ErasureNotFoundError,
    JobNotFoundError,
    WebhookNotFoundError,
)
from app.models.job import JobStatus, LocationState
from app.models.locations import ALL_LOCATIONS, LocationFilter
from app.models.review_filter import EVERYTHING, ReviewFilter
from app.models.views import DeadLetterFilter, RedriveRequest
from app.store.database import Database, Transaction
from app.store.schema import credentials
from tests.support.api import SEALER, served_api
from tests.support.jobs import finished, given_up, in_state
from tests.support.serving import served
from tests.support.store import new_job

REQUEST = ReviewFetchRequest(access_token=SecretStr("ya29.a-token-of-the-contract"))
NEWER = TokenReplacement(access_token=SecretStr("ya29.a-newer-token-of-the-contract"))


@dataclass(frozen=True)
class Asked:
    """A backend, and the store that it tells of."""

    backend: Backend
    database: Database


@pytest.fixture(params=["local", "remote"])
async def asked(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Asked]:
    if request.param == "local":
        key = f"key-1:{base64.b64encode(b'k' * KEY_BYTES).decode()}"
        yield Asked(LocalService(database, load_settings(_env_file=None, token_sealing_keys=key), "default"), database)
        return
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(served_api(database))
        url = await stack.enter_async_context(served(api.app))
        yield Asked(await stack.enter_async_context(Service(url)), database)


async def refusal(answer: Awaitable[object]) -> str:
    """The line that a command shows when this is refused."""
    with pytest.raises(Exception) as refused:  # noqa: PT011 - each adapter has its own type, and one sentence
        await answer
    line = told(refused.value)
    assert line is not None, f"a fault of ours: {refused.value!r}"
    return line


async def collected(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


async def test_jobs_are_listed_page_by_page_and_by_state(asked: Asked) -> None:
    ids = [await new_job(asked.database) for _ in range(3)]
    await asked.backend.cancel(ids[0])
    first = await asked.backend.jobs(None, 2, None)
    rest = await asked.backend.jobs(None, 2, first.next_cursor)
    assert sorted(job.job_id for job in first.jobs + rest.jobs) == sorted(ids)
    assert (len(first.jobs), rest.next_cursor) == (2, None)
    assert [job.job_id for job in (await asked.backend.jobs(JobStatus.CANCELLED, 2, None)).jobs] == [ids[0]]


async def test_another_tenants_job_is_not_there(asked: Asked) -> None:
    theirs = await new_job(asked.database, "other")
    assert str(JobNotFoundError()) in await refusal(asked.backend.job(theirs))
    assert (await asked.backend.jobs(None, 10, None)).jobs == []


OF_A_JOB: dict[str, Callable[[Backend, str], Coroutine[Any, Any, object]]] = {
    "job": lambda backend, job_id: backend.job(job_id),
    "accounts": lambda backend, job_id: backend.accounts(job_id, 10, None),
    "locations": lambda backend, job_id: backend.locations(job_id, ALL_LOCATIONS, 10, None),
    "cancel": lambda backend, job_id: backend.cancel(job_id),
    "pause": lambda backend, job_id: backend.pause(job_id),
    "resume": lambda backend, job_id: backend.resume(job_id),
    "replace_token": lambda backend, job_id: backend.replace_token(job_id, NEWER),
    "events": lambda backend, job_id: collected(backend.events(job_id, None)),
    "ndjson": lambda backend, job_id: collected(backend.reviews(job_id, "ndjson", EVERYTHING)),
    "reconciliation": lambda backend, job_id: backend.reconciliation(job_id),
    "parquet": lambda backend, job_id: collected(backend.reviews(job_id, "parquet", EVERYTHING)),
    "csv": lambda backend, job_id: collected(backend.reviews(job_id, "csv", EVERYTHING)),
    "webhooks": lambda backend, job_id: backend.webhooks(job_id),
    "resend": lambda backend, job_id: backend.resend(job_id, 1),
    "erase_job": lambda backend, job_id: backend.erase_job(job_id),
}


@pytest.mark.parametrize("job_id", ["no-such-job", "..", "\x00?limit=ä"])
async def test_an_unknown_job_is_told_in_the_same_words(asked: Asked, job_id: str) -> None:
    lines = {name: await refusal(question(asked.backend, job_id)) for name, question in OF_A_JOB.items()}
    assert {name: line for name, line in lines.items() if str(JobNotFoundError()) not in line} == {}


@pytest.mark.parametrize(
    ("status", "action", "possible"),
    [
        (JobStatus.COMPLETED, "cancel", "Nothing can be done to it any more."),
        (JobStatus.PENDING, "resume", "Possible now: cancel, pause, replace_token, redrive."),
        (JobStatus.CANCELLED, "replace_token", "Nothing can be done to it any more."),
    ],
)
async def test_a_refused_action_says_what_is_possible(
    asked: Asked, status: JobStatus, action: str, possible: str
) -> None:
    job_id = await in_state(asked.database, status)
    line = await refusal(OF_A_JOB[action](asked.backend, job_id))
    assert f"The job is {status}, which does not allow the action {action}. {possible}" in line


async def test_a_job_is_held_and_let_go_and_ended(asked: Asked) -> None:
    job_id = await new_job(asked.database)
    assert (await asked.backend.pause(job_id)).status is JobStatus.PAUSED
    assert (await asked.backend.resume(job_id)).status is JobStatus.PENDING
    assert (await asked.backend.cancel(job_id)).status is JobStatus.CANCELLED
    assert (await asked.backend.job(job_id)).status is JobStatus.CANCELLED


async def test_a_new_token_is_sealed_for_the_job_and_lets_it_go_on(asked: Asked) -> None:
    job_id = await in_state(asked.database, JobStatus.NEEDS_TOKEN)
    assert (await asked.backend.replace_token(job_id, NEWER)).status is JobStatus.PROCESSING
    sealed = await asked.database.read(_sealed, job_id)
    assert SEALER.open("default", job_id, sealed) == NEWER.access_token.get_secret_value()


async def test_a_submitted_job_is_durable_with_its_token_sealed(asked: Asked) -> None:
    accepted = await asked.backend.submit(REQUEST, None)
    assert (await asked.backend.job(accepted.job_id)).status is JobStatus.PENDING
    sealed = await asked.database.read(_sealed, accepted.job_id)
    assert SEALER.open("default", accepted.job_id, sealed) == REQUEST.access_token.get_secret_value()


async def test_a_grant_is_sealed_and_makes_the_token_refreshable(asked: Asked) -> None:
    grant = {"refresh_token": "1//a-refresh-token", "client_id": "client.example", "client_secret": "a-client-secret"}
    waiting = await in_state(asked.database, JobStatus.NEEDS_TOKEN)
    accepted = await asked.backend.submit(ReviewFetchRequest.model_validate(grant), None)
    await asked.backend.replace_token(waiting, TokenReplacement.model_validate(grant))
    for job_id in (accepted.job_id, waiting):
        token = (await asked.backend.job(job_id)).token
        assert token is not None
        assert token.refreshable


async def test_the_same_idempotency_key_gives_the_same_job_and_none_for_another_token(asked: Asked) -> None:
    accepted = await asked.backend.submit(REQUEST, "import-1")
    assert await asked.backend.submit(REQUEST, "import-1") == accepted
    other = ReviewFetchRequest(access_token=SecretStr("ya29.another-token-of-the-contract"))
    assert "Idempotency-Key" in await refusal(asked.backend.submit(other, "import-1"))
    assert len((await asked.backend.jobs(None, 10, None)).jobs) == 1


async def test_messages_to_a_callback_are_listed_and_sent_again(asked: Asked) -> None:
    request = REQUEST.model_copy(update={"callback_url": SecretStr("https://receiver.example/done?key=hidden")})
    job_id = (await asked.backend.submit(request, None)).job_id
    nothing = await asked.backend.webhooks(job_id)
    assert (nothing.callback_url, nothing.items) == ("https://receiver.example/done", [])
    await asked.backend.cancel(job_id)
    (message,) = (await asked.backend.webhooks(job_id)).items
    assert message.event == "review_fetch.cancelled"
    again = await asked.backend.resend(job_id, message.id)
    assert (again.message_id, again.status) == (message.message_id, "waiting")
    assert str(WebhookNotFoundError()) in await refusal(asked.backend.resend(job_id, message.id + 1))


async def test_locations_are_listed_page_by_page(asked: Asked) -> None:
    job_id = await finished(asked.database, {"locations/1": ["a"], "locations/2": ["b", "c"]})
    first = await asked.backend.locations(job_id, ALL_LOCATIONS, 1, None)
    rest = await asked.backend.locations(job_id, ALL_LOCATIONS, 1, first.next_cursor)
    assert [(item.location, item.fetched) for item in first.locations + rest.locations] == [
        ("locations/1", 1),
        ("locations/2", 2),
    ]


async def test_reviews_come_as_lines_or_as_a_table(asked: Asked) -> None:
    job_id = await finished(asked.database, {"locations/1": ["a"], "locations/2": ["b", "c"]})
    lines = (await collected(asked.backend.reviews(job_id, "ndjson", EVERYTHING))).splitlines()
    rows = csv.DictReader((await collected(asked.backend.reviews(job_id, "csv", EVERYTHING))).decode().splitlines())
    assert [json.loads(line)["review_id"] for line in lines] == ["a", "b", "c"]
    assert [row["review_id"] for row in rows] == ["a", "b", "c"]


async def test_reviews_are_chosen_by_a_filter(asked: Asked) -> None:
    job_id = await finished(asked.database, {"locations/1": ["a"], "locations/2": ["b"]})
    some = ReviewFilter(
        location="locations/2", rating=frozenset({"5", "none"}), since="2024-01-01", has_reply=False, text="GOOD"
    )
    none = some.model_copy(update={"has_reply": True})
    for wanted, ids in ((some, ["b"]), (none, [])):
        lines = (await collected(asked.backend.reviews(job_id, "ndjson", wanted))).splitlines()
        assert [json.loads(line)["review_id"] for line in lines] == ids


async def test_reviews_come_as_columns(asked: Asked) -> None:
    job_id = await finished(asked.database, {"locations/1": ["a", "b"]})
    file = await collected(asked.backend.reviews(job_id, "parquet", EVERYTHING))
    assert parquet.read_table(io.BytesIO(file)).column("review_id").to_pylist() == ["a", "b"]


async def test_locations_are_chosen_by_a_filter_and_reconciled(asked: Asked) -> None:
    job_id = await finished(asked.database, {"locations/1": ["a"], "locations/2": ["b"]})
    for wanted, number in (
        (LocationFilter(account="accounts/1", state=LocationState.DONE), 2),
        (LocationFilter(gaps=True), 0),
        (LocationFilter(account="accounts/2"), 0),
    ):
        assert len((await asked.backend.locations(job_id, wanted, 10, None)).locations) == number
    found = await asked.backend.reconciliation(job_id)
    assert (found.whole, found.complete, found.fetched) == (True, 2, 2)


async def test_the_feed_goes_on_behind_its_cursor(asked: Asked) -> None:
    """On PostgreSQL a transaction in a database beside this one may hold the feed back for a moment."""
    await finished(asked.database, {"locations/1": ["a", "b", "c"]})
    seen: list[str] = []
    after: str | None = None
    async with asyncio.timeout(30):
        while len(seen) < 3:
            page = await asked.backend.feed(after, 2)
            seen += [json.loads(bytes(review))["review_id"] for review in page.reviews]
            after = page.next_cursor
            assert len(page.reviews) <= 2
            assert page.more == (len(seen) == 2)
    assert seen == ["a", "b", "c"]
    assert (await asked.backend.feed(after, 2)).reviews == []


async def test_a_cursor_of_something_else_is_told(asked: Asked) -> None:
    job_id = await new_job(asked.database)
    for answer in (
        asked.backend.jobs(None, 1, "x"),
        asked.backend.locations(job_id, ALL_LOCATIONS, 1, "x"),
        asked.backend.feed("x", 1),
        asked.backend.accounts(job_id, 1, "x"),
        asked.backend.dead_letters(None, 1, "x", parked=None),
    ):
        assert str(BadCursorError()) in await refusal(answer)


async def test_events_end_with_the_whole_job_and_go_on_behind_the_last_one_seen(asked: Asked) -> None:
    job_id = await finished(asked.database, {"locations/1": ["a"]})
    events = EventSource().feed(await collected(asked.backend.events(job_id, None)))
    assert [event.event for event in events] == ["state", "progress", "done"]
    assert events[-1].data == (await asked.backend.job(job_id)).model_dump(mode="json")
    assert await collected(asked.backend.events(job_id, events[-1].id)) == b""
    behind = EventSource().feed(await collected(asked.backend.events(job_id, events[0].id)))
    assert [event.event for event in behind] == ["progress", "done"]


async def test_events_may_be_left_while_the_job_goes_on(asked: Asked) -> None:
    job_id = await new_job(asked.database)
    source = EventSource()
    async with aclosing(asked.backend.events(job_id, None)) as chunks:
        async for chunk in chunks:
            if events := source.feed(chunk):
                break
    assert events[0].data["status"] == JobStatus.PENDING


async def test_dead_letters_are_found_counted_and_tried_again(asked: Asked) -> None:
    job = await given_up(asked.database)
    which = DeadLetterFilter(cause="http_503", job_id=job.id, stage="reviews")
    (letter,) = (await asked.backend.dead_letters(which, 10, None, parked=False)).items
    assert (letter.resource, letter.cursor) == ("locations/1", "p2")
    other = DeadLetterFilter(cause="http_500")
    assert (await asked.backend.dead_letters(other, 10, None, parked=None)).items == []
    assert (await asked.backend.dead_letters(None, 10, None, parked=True)).items == []
    assert (await asked.backend.dead_letter(letter.id)).model_dump(exclude={"earlier"}) == letter.model_dump()
    assert [(item.cause, item.count) for item in (await asked.backend.causes(job.id)).causes] == [("http_503", 1)]
    assert (await asked.backend.causes("no-such-job")).causes == []
    dry = await asked.backend.redrive(RedriveRequest(ids=[letter.id], dry_run=True))
    assert (dry.matched, dry.redriven) == (1, 0)
    done = await asked.backend.redrive(RedriveRequest(filter=DeadLetterFilter(job_id=job.id), rate=5.0))
    assert (done.matched, done.redriven, done.parked) == (1, 1, 0)
    assert (await asked.backend.job(job.id)).status is JobStatus.PROCESSING
    assert (await asked.backend.redrive(RedriveRequest(all=True))).matched == 0


async def test_an_unknown_dead_letter_is_told_in_the_same_words(asked: Asked) -> None:
    assert str(DeadLetterNotFoundError()) in await refusal(asked.backend.dead_letter(7))


async def test_accounts_tell_what_their_locations_come_to(asked: Asked) -> None:
    job_id = await finished(asked.database, {"locations/1": ["a"], "locations/2": ["b", "c"]})
    (account,) = (await asked.backend.accounts(job_id, 10, None)).accounts
    assert (account.account, account.locations.found, account.reviews.fetched) == ("accounts/1", 2, 3)


async def test_what_was_done_is_told_and_read_on(asked: Asked) -> None:
    job_id = (await asked.backend.submit(REQUEST, None)).job_id
    await asked.backend.pause(job_id)
    told, cursor = list[str](), None
    while len(told) < 2:  # PostgreSQL may have to wait for somebody else's transaction
        page = await asked.backend.audit(AuditFilter(subject=job_id, since="2020-01-01"), 1, cursor)
        told, cursor = told + [entry.action for entry in page.entries], page.next_cursor
    assert told == ["job.submit", "job.pause"]
    await asked.backend.resume(job_id)
    while len(told) < 3:
        page = await asked.backend.audit(AuditFilter(action=Action.JOB_RESUME), 10, cursor)
        told, cursor = told + [entry.subject for entry in page.entries], page.next_cursor
    assert told[-1] == job_id
    assert str(BadCursorError()) in await refusal(asked.backend.audit(ALL_ENTRIES, 10, "x"))


async def test_the_overview_counts_jobs_by_state(asked: Asked) -> None:
    await finished(asked.database, {"locations/1": ["a"]})
    assert (await asked.backend.overview()).jobs[JobStatus.COMPLETED] == 1


async def test_the_quota_is_told(asked: Asked) -> None:
    assert isinstance((await asked.backend.quota()).budgets, list)


def _sealed(transaction: Transaction, job_id: str) -> bytes:
    statement = credentials.select().where(credentials.c.job_id == job_id)
    return bytes(transaction.connection.execute(statement).mappings().one()["sealed"])


async def test_jobs_and_reviewers_are_ordered_to_be_erased(asked: Asked) -> None:
    ended, running = await in_state(asked.database, JobStatus.COMPLETED), await new_job(asked.database)
    assert "cancel it first" in await refusal(asked.backend.erase_job(running))
    job = (await asked.backend.erase_job(ended)).erasure
    assert job is not None
    assert (job.kind, job.subject, job.status, job.jobs_erased) == ("job", ended, "running", 1)
    assert str(JobNotFoundError()) in await refusal(asked.backend.job(ended))
    counted = await asked.backend.erase_reviewer(ErasureRequest(reviewer="A. Guest", dry_run=True))
    assert (counted.erasure, counted.jobs, counted.reviews) == (None, 0, 0)
    reviewer = (await asked.backend.erase_reviewer(ErasureRequest(reviewer="A. Guest"))).erasure
    assert reviewer is not None
    assert reviewer.subject is None, "a name is not shown again"
    first = await asked.backend.erasures(1, None)
    rest = await asked.backend.erasures(1, first.next_cursor)
    assert [*first.items, *rest.items] == [reviewer, job]
    assert await asked.backend.erasure(job.id) == job
    assert str(ErasureNotFoundError()) in await refusal(asked.backend.erasure(99))
