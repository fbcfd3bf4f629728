"""What a tenant may submit, over every database: API4:2023 (unrestricted resource consumption)."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from sqlalchemy import update

from app.ingest.buffer import BoundedDequeBuffer
from app.ingest.committer import Arrival, Committer
from app.ingest.errors import SubmitLimitError
from app.models.limits import SubmitLimits
from app.store.database import Database, Transaction
from app.store.schema import jobs, submit_rates
from app.store.submit import NewJob, Submitted, submit
from app.store.tenants import change_tenant
from tests.support.api import TOKEN, served_api
from tests.support.asgi import Answer
from tests.support.store import plans

SUBMIT = "/api/v1/review-fetch"
NONE = SubmitLimits()
TEN = SubmitLimits(submits_per_minute=10)


def _job(job_id: str, tenant: str = "default", key: str | None = None, body_hash: str = "hash") -> NewJob:
    return NewJob(job_id, tenant, "key-1", b"sealed", key, body_hash)


async def _submitted(database: Database, *new: NewJob, limits: SubmitLimits = TEN) -> list[Submitted]:
    return await database.write(submit, list(new), limits)


def _accepted(answers: Sequence[Submitted]) -> int:
    return sum(not (answer.refused or answer.replayed) for answer in answers)


async def _let_pass(database: Database, seconds: float) -> None:
    def earlier(transaction: Transaction) -> None:
        moved = update(submit_rates).values(arrival_at=submit_rates.c.arrival_at - seconds)
        transaction.connection.execute(moved)

    await database.write(earlier)


async def _all_jobs_are(database: Database, status: str) -> None:
    def change(transaction: Transaction) -> None:
        transaction.connection.execute(update(jobs).values(status=status))

    await database.write(change)


async def test_fifty_submissions_at_once_over_two_replicas_are_exactly_as_many_as_allowed(database: Database) -> None:
    replicas = [
        Committer(BoundedDequeBuffer[Arrival](), database, committed=lambda: None, limits=TEN) for _ in range(2)
    ]
    waiting = [asyncio.create_task(replicas[number % 2].accept(_job(f"job-{number}"))) for number in range(50)]
    await asyncio.sleep(0)
    await asyncio.gather(*(replica.stop() for replica in replicas))
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert Counter(type(answer) for answer in answers) == {Submitted: 10, SubmitLimitError: 40}


async def test_open_jobs_are_counted_for_all_replicas_together(database: Database) -> None:
    limits = SubmitLimits(max_open_jobs=5)
    batches = [[_job(f"job-{batch}-{number}") for number in range(4)] for batch in range(6)]
    answers = await asyncio.gather(*(_submitted(database, *batch, limits=limits) for batch in batches))
    assert sum(map(_accepted, answers)) == 5
    await _all_jobs_are(database, "paused")
    (full,) = await _submitted(database, _job("job-late"), limits=limits)
    assert full.refused is not None, "a paused job is open"
    await _all_jobs_are(database, "dlq")
    assert _accepted(await _submitted(database, _job("job-later"), limits=limits)) == 1


async def test_a_minute_gives_back_what_was_submitted_evenly(database: Database) -> None:
    answers = await _submitted(database, *(_job(f"job-{number}") for number in range(12)))
    assert _accepted(answers) == 10
    refused = answers[-1].refused
    assert refused is not None
    assert 5.0 < refused.retry_after <= 6.0
    await _let_pass(database, 6.0)
    assert _accepted(await _submitted(database, _job("again-1"), _job("again-2"))) == 1
    await _let_pass(database, 3600.0)
    assert _accepted(await _submitted(database, *(_job(f"late-{number}") for number in range(50)))) == 10


async def test_what_one_tenant_submits_takes_nothing_from_another(database: Database) -> None:
    new = [_job(f"{tenant}-{number}", tenant) for tenant in ("a", "b") for number in range(15)]
    answers = await _submitted(database, *new)
    taken = Counter(job.tenant for job, answer in zip(new, answers, strict=True) if not answer.refused)
    assert taken == {"a": 10, "b": 10}


async def test_a_tenants_own_limits_go_before_those_of_the_service(database: Database) -> None:
    await database.write(change_tenant, "free", {"submits_per_minute": 0})
    await database.write(change_tenant, "small", {"submits_per_minute": 2, "max_open_jobs": 100})
    for tenant, expected in (("free", 30), ("small", 2), ("other", 10)):
        answers = await _submitted(database, *(_job(f"{tenant}-{number}", tenant) for number in range(30)))
        assert _accepted(answers) == expected, tenant


async def test_a_replay_counts_for_nothing_and_is_answered_when_all_is_spent(database: Database) -> None:
    (first,) = await _submitted(database, _job("job-0", key="order-1"))
    again = await _submitted(database, *(_job(f"again-{number}", key="order-1") for number in range(20)))
    assert {(answer.job_id, answer.replayed, answer.refused) for answer in again} == {(first.job_id, True, None)}
    assert _accepted(await _submitted(database, *(_job(f"job-{number}") for number in range(1, 20)))) == 9
    (after,) = await _submitted(database, _job("again", key="order-1"))
    assert (after.job_id, after.refused) == ("job-0", None)


async def test_a_refused_submission_keeps_its_idempotency_key_free(database: Database) -> None:
    """Also when the same key comes several times in the batch that is refused: none may name a job that is not."""
    await _submitted(database, *(_job(f"job-{number}") for number in range(10)))
    refused = await _submitted(database, *(_job(f"late-{number}", key="order-1") for number in range(3)))
    assert all(answer.refused for answer in refused)
    await _let_pass(database, 60.0)
    (accepted,) = await _submitted(database, _job("later", key="order-1", body_hash="another body"))
    assert accepted == Submitted("later", limits=accepted.limits)


async def test_the_answers_tell_the_limits_and_what_is_left(database: Database) -> None:
    """RFC 9457 for the refusal; RateLimit fields on 202 and 429 alike."""
    limits = SubmitLimits(max_open_jobs=5, submits_per_minute=3)
    async with served_api(database, limits=limits) as api:

        async def post(**headers: str) -> Answer:
            return await api.client.post(SUBMIT, {"access_token": TOKEN}, **headers)

        first, *_, third = [await post() for _ in range(3)]
        assert first.headers["ratelimit-policy"] == '"submits";q=3;w=60, "open-jobs";q=5'
        assert first.headers["ratelimit"] == '"submits";r=2;t=20, "open-jobs";r=4'
        assert third.headers["ratelimit"].startswith('"submits";r=0;t=')
        refused = await post(**{"Idempotency-Key": "order-1"})
        assert refused.status == 429
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["type"].endswith(":submit-limit")
        assert "3 jobs a minute" in refused.json()["detail"]
        assert 0 < int(refused.headers["retry-after"]) <= 20
        assert refused.headers["ratelimit-policy"] == first.headers["ratelimit-policy"]
        await _let_pass(database, 60.0)
        assert [(await post()).status for _ in range(3)] == [202, 202, 429]
        full = await post()
        assert "5 open jobs" in full.json()["detail"]
        assert full.headers["retry-after"] == "30"


async def test_without_limits_nothing_is_told_counted_or_locked(database: Database) -> None:
    async with served_api(database) as api:
        answer = await api.client.post(SUBMIT, {"access_token": TOKEN})
        assert answer.status == 202
        assert "ratelimit" not in answer.headers
    found = "\n".join(await database.write(plans, lambda transaction: submit(transaction, [_job("one")])))
    assert "submit_rates" not in found


async def test_open_jobs_are_counted_by_an_index(database: Database) -> None:
    await _submitted(database, *(_job(f"job-{number}", "large") for number in range(3000)), limits=NONE)
    limits = SubmitLimits(max_open_jobs=3)
    found = await database.write(plans, lambda transaction: submit(transaction, [_job("one", "small")], limits))
    (counting,) = [plan for plan in found if "ix_jobs_tenant_status" in plan]
    assert "Seq Scan on jobs" not in counting


async def test_a_setting_that_no_tenant_has_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="weights"):
        await database.write(change_tenant, "a", {"weights": 1})
