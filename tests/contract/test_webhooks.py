"""Messages to callbacks, over every database: written with the end itself, one for each; in one pair of hands."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from app.credentials import KEY_BYTES, Purpose, SealedTokenError, SealingKey, TokenSealer
from app.models.errors import JobNotFoundError, WebhookNotFoundError
from app.models.job import JobStatus, Stage
from app.models.settlement import Settlement, SettleOptions
from app.models.views import JobView
from app.models.webhooks import WebhookAttempt, WebhookStatus
from app.results.progress import Progress
from app.store import control
from app.store.database import Database, Transaction
from app.store.postgresql import PostgresDatabase
from app.store.redrive import redrive
from app.store.schema import callbacks, dead_letters, jobs, webhooks
from app.store.submit import Callback
from app.store.tidy import tidy
from app.store.webhooks import DueWebhook, anything_due, give_back, list_webhooks, note_attempt, resend, take_webhooks
from tests.support.jobs import DONE, NO_TOKEN, given_up, in_state, settle_one
from tests.support.store import plans, take

SHOWN = "https://example.com/hook"
LEASE = 60.0
FAILED = WebhookAttempt(500, "The receiver answered 500.", 30.0)
GIVEN_UP = WebhookAttempt(410, "The receiver answered 410 Gone.")
DELIVERED = WebhookAttempt(204)
SEALER = TokenSealer([SealingKey("key-1", b"k" * KEY_BYTES)])


@pytest.fixture(autouse=True)
def every_job_has_a_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the tests' helpers too."""
    monkeypatch.setattr("tests.support.store.CALLBACK", Callback("key-1", b"sealed", SHOWN))


async def messages(database: Database, job_id: str) -> list[dict[str, Any]]:
    """The job's messages, oldest first, as their receivers read them."""

    def read(transaction: Transaction) -> list[bytes]:
        statement = select(webhooks.c.body).where(webhooks.c.job_id == job_id).order_by(webhooks.c.id)
        return list(transaction.connection.execute(statement).scalars())

    return [json.loads(body) for body in await database.read(read)]


async def job_view(database: Database, job_id: str) -> JobView:
    return await Progress(database).job("default", job_id)


async def taken(database: Database, limit: int = 10, lease: float = LEASE) -> list[DueWebhook]:
    return await database.write(take_webhooks, limit, lease)


async def ended(database: Database) -> str:
    """A completed job with one message."""
    return await in_state(database, JobStatus.COMPLETED)


@pytest.mark.parametrize(
    "status", [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.DLQ, JobStatus.CANCELLED, JobStatus.NEEDS_TOKEN]
)
async def test_each_end_and_the_want_of_a_token_is_told_once_with_the_job_as_it_stood(
    database: Database, status: JobStatus
) -> None:
    job_id = await in_state(database, status)
    (told,) = await messages(database, job_id)
    assert told["type"] == f"review_fetch.{status}"
    job = await job_view(database, job_id)
    assert JobView.model_validate(told["data"]) == job
    assert told["timestamp"] == told["data"]["updated_at"]
    assert (told["data"]["finished_at"] is None) is (status is JobStatus.NEEDS_TOKEN)


@pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.PAUSED])
async def test_a_job_that_goes_on_has_told_nothing(database: Database, status: JobStatus) -> None:
    assert await messages(database, await in_state(database, status)) == []


async def test_a_job_without_a_callback_tells_nobody(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.store.CALLBACK", None)
    job_id = await ended(database)
    assert await messages(database, job_id) == []
    shown = await database.read(list_webhooks, "default", job_id)
    assert (shown.callback_url, shown.items) == (None, [])


async def test_an_end_that_is_not_committed_is_not_told(database: Database) -> None:
    def cancel_and_fail(transaction: Transaction, job_id: str) -> None:
        control.cancel(transaction, "default", job_id)
        raise LookupError

    job_id = await in_state(database, JobStatus.PROCESSING)
    with pytest.raises(LookupError):
        await database.write(cancel_and_fail, job_id)
    assert await messages(database, job_id) == []


async def test_a_second_refusal_of_the_same_token_is_not_told_again(database: Database) -> None:
    job_id = await in_state(database, JobStatus.NEEDS_TOKEN)
    await database.write(tidy, 3600.0, 100)
    assert len(await messages(database, job_id)) == 1


async def test_a_token_that_never_came_is_told_as_the_end(database: Database) -> None:
    job_id = await in_state(database, JobStatus.NEEDS_TOKEN)
    await database.write(tidy, -1.0, 100)
    told = [message["type"] for message in await messages(database, job_id)]
    assert told == ["review_fetch.needs_token", "review_fetch.failed"]


async def test_dead_letters_that_are_redriven_and_die_again_are_told_again(database: Database) -> None:
    job = await given_up(database)
    letter = await database.read(_only_letter)
    assert await database.write(redrive, "default", [letter]) == 1
    (task,) = await take(database, Stage.REVIEWS)
    await settle_one(database, Settlement(task, DONE, calls=1, page=True))
    told = [message["type"] for message in await messages(database, job.id)]
    assert told == ["review_fetch.dlq", "review_fetch.completed"]


async def test_a_redriven_job_whose_token_is_gone_says_that_it_needs_one(database: Database) -> None:
    job = await given_up(database, SettleOptions(announce=False, token_wait=-1.0))
    await database.write(redrive, "default", [await database.read(_only_letter)])
    told = await messages(database, job.id)
    assert [message["type"] for message in told] == ["review_fetch.dlq", "review_fetch.needs_token"]
    assert told[1]["data"]["error"]["type"] == NO_TOKEN.type


def _only_letter(transaction: Transaction) -> int:
    return int(transaction.connection.execute(select(dead_letters.c.id)).scalar_one())


async def test_a_message_is_in_one_pair_of_hands_until_its_lease_ends(database: Database) -> None:
    await ended(database)
    (due,) = await taken(database)
    assert (due.tenant, due.sealed_url, due.attempts) == ("default", b"sealed", 0)
    assert await taken(database) == []
    assert not await database.read(anything_due)
    await database.write(_over)
    (again,) = await taken(database)
    assert (again.id, again.message_id, again.body) == (due.id, due.message_id, due.body)
    assert again.version > due.version


def _over(transaction: Transaction) -> None:
    """Whatever was taken was taken long ago."""
    transaction.connection.execute(update(webhooks).values(due_at=transaction.now - 1.0))


@pytest.mark.parametrize("outcome", [DELIVERED, FAILED, GIVEN_UP])
async def test_who_comes_late_changes_nothing(database: Database, outcome: WebhookAttempt) -> None:
    """A frozen process wakes with a message that another has sent meanwhile."""
    job_id = await ended(database)
    (zombie,) = await taken(database)
    await database.write(_over)
    (other,) = await taken(database)
    assert not await database.write(note_attempt, zombie.id, zombie.version, outcome)
    await database.write(give_back, [(zombie.id, zombie.version)], 0.0)
    assert await taken(database) == []
    assert await database.write(note_attempt, other.id, other.version, FAILED)
    (shown,) = (await database.read(list_webhooks, "default", job_id)).items
    assert (shown.status, shown.attempts, shown.answered) == (WebhookStatus.WAITING, 1, 500)


async def test_a_failed_attempt_is_due_again_later_and_says_why(database: Database) -> None:
    job_id = await ended(database)
    (due,) = await taken(database)
    await database.write(note_attempt, due.id, due.version, FAILED)
    (shown,) = (await database.read(list_webhooks, "default", job_id)).items
    assert shown.next_attempt_at is not None
    assert (shown.next_attempt_at - shown.created_at).total_seconds() == pytest.approx(30.0, abs=10.0)
    assert (shown.last_error, shown.delivered_at) == (FAILED.error, None)
    assert not await database.read(anything_due)


@pytest.mark.parametrize("outcome", [DELIVERED, GIVEN_UP])
async def test_an_ended_message_is_never_due_but_can_be_sent_again(database: Database, outcome: WebhookAttempt) -> None:
    job_id = await ended(database)
    (first,) = await taken(database)
    await database.write(note_attempt, first.id, first.version, outcome)
    await database.write(_over)
    assert await taken(database) == []
    shown = await database.write(resend, "default", job_id, first.id)
    assert (shown.status, shown.attempts, shown.last_error) == (WebhookStatus.WAITING, 0, outcome.error)
    (again,) = await taken(database)
    assert (again.message_id, again.body, again.attempts) == (first.message_id, first.body, 0)


async def test_a_resend_outlives_the_attempt_that_is_under_way(database: Database) -> None:
    job_id = await ended(database)
    (due,) = await taken(database)
    await database.write(resend, "default", job_id, due.id)
    assert not await database.write(note_attempt, due.id, due.version, DELIVERED)
    assert len(await taken(database)) == 1


async def test_what_was_not_sent_is_given_back_without_an_attempt(database: Database) -> None:
    await ended(database)
    (due,) = await taken(database)
    await database.write(give_back, [(due.id, due.version)], 0.0)
    (again,) = await taken(database)
    assert again.attempts == 0


async def test_the_longest_due_are_taken_first_and_no_more_than_wanted(database: Database) -> None:
    for _ in range(3):
        await ended(database)
    first = await taken(database, limit=2)
    rest = await taken(database, limit=2)
    assert (len(first), len(rest)) == (2, 1)
    assert max(due.id for due in first) < rest[0].id


async def test_two_replicas_never_take_the_same(store: PostgresDatabase, other_store: PostgresDatabase) -> None:
    for _ in range(20):
        await ended(store)
    rounds = [taken(replica, limit=3) for _ in range(5) for replica in (store, other_store)]
    ids = [due.id for found in await asyncio.gather(*rounds) for due in found]
    assert len(ids) == len(set(ids))
    rest = [due.id for due in await taken(store, limit=100)]
    assert sorted(ids + rest) == sorted(set(ids + rest))
    assert len(ids + rest) == 20


async def test_another_tenant_sees_and_sends_nothing(database: Database) -> None:
    job_id = await ended(database)
    (due,) = await taken(database)
    with pytest.raises(JobNotFoundError):
        await database.read(list_webhooks, "acme", job_id)
    with pytest.raises(JobNotFoundError):
        await database.write(resend, "acme", job_id, due.id)
    other = await ended(database)
    with pytest.raises(WebhookNotFoundError):
        await database.write(resend, "default", other, due.id)


async def test_a_callback_of_another_tenant_or_job_does_not_open(database: Database) -> None:
    sealed = SEALER.seal("default", "job-a", "https://example.com", Purpose.CALLBACK)
    for tenant, job_id, purpose in (
        ("acme", "job-a", Purpose.CALLBACK),
        ("default", "job-b", Purpose.CALLBACK),
        ("default", "job-a", Purpose.ACCESS_TOKEN),
    ):
        with pytest.raises(SealedTokenError):
            SEALER.open(tenant, job_id, sealed.data, purpose)


async def test_a_callback_that_was_moved_to_another_tenant_tells_nothing_there(database: Database) -> None:
    job_id = await in_state(database, JobStatus.PROCESSING)
    await database.write(_move, job_id)
    await database.write(control.cancel, "default", job_id)
    assert await messages(database, job_id) == []
    assert (await database.read(list_webhooks, "default", job_id)).callback_url is None


def _move(transaction: Transaction, job_id: str) -> None:
    transaction.connection.execute(update(callbacks).where(callbacks.c.job_id == job_id).values(tenant="acme"))


Work = Callable[[Transaction], object]


@pytest.mark.parametrize(
    "work",
    [anything_due, lambda transaction: take_webhooks(transaction, 10, LEASE)],
    ids=["anything_due", "take_webhooks"],
)
async def test_messages_that_were_delivered_cost_the_next_look_nothing(database: Database, work: Work) -> None:
    job_id = await ended(database)
    await database.write(_fill, job_id)
    looked = await database.write(plans, work)
    assert [plan for plan in looked if "ix_webhooks_due" in plan]


def _fill(transaction: Transaction, job_id: str) -> None:
    """Two thousand delivered ones."""
    row: dict[str, object] = {"tenant": "default", "job_id": job_id, "event": "review_fetch.completed", "body": b"{}"}
    row |= {"status": WebhookStatus.DELIVERED.value, "due_at": 1.0, "created_at": 1.0}
    transaction.connection.execute(webhooks.insert(), [row | {"message_id": f"msg_{at}"} for at in range(2_000)])


async def test_a_job_of_which_nothing_is_told_keeps_its_own_statements(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look by its key is all that an end costs more."""
    monkeypatch.setattr("tests.support.store.CALLBACK", None)
    job_id = await in_state(database, JobStatus.PROCESSING)
    looked = await database.write(plans, lambda transaction: control.cancel(transaction, "default", job_id))
    of_callbacks = [plan for plan in looked if "callbacks" in plan]
    assert len(of_callbacks) == 1
    assert not [plan for plan in looked if "webhooks" in plan]


async def test_jobs_stay_as_they_are(database: Database) -> None:
    """What is told is no state of the job."""
    job_id = await ended(database)
    before = await database.read(_job, job_id)
    (due,) = await taken(database)
    await database.write(note_attempt, due.id, due.version, FAILED)
    assert await database.read(_job, job_id) == before


def _job(transaction: Transaction, job_id: str) -> dict[str, Any]:
    return dict(transaction.connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().one())
