"""Submitting a job over HTTP: what 202 promises, and every way not to get one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import RowMapping, select

from app.api.authenticator import parse_api_keys
from app.credentials import Purpose
from app.google.pages import FreshToken
from app.models.access import Scope
from app.models.grant import RefreshGrant
from app.store.database import Transaction
from app.store.schema import credentials
from tests.support.api import SEALER, TOKEN, ServedApi, served_api
from tests.support.clock import settle_loop
from tests.support.store import sqlite_database

SUBMIT = "/api/v1/review-fetch"
KEY = "a-secret-of-the-environment"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ServedApi]:
    async with sqlite_database(tmp_path) as database, served_api(database) as served:
        yield served


async def test_a_submitted_job_is_in_the_store_when_202_is_answered(api: ServedApi) -> None:
    answer = await api.client.post(SUBMIT, {"access_token": f"  {TOKEN}\n"})
    assert answer.status == 202
    assert answer.json().keys() == {"job_id", "status", "message"}
    assert answer.json()["status"] == "queued"
    assert await api.count_jobs() == 1
    job = await api.client.get(answer.headers["location"])
    assert (job.status, job.json()["job_id"], job.json()["status"]) == (200, answer.json()["job_id"], "pending")


async def test_a_key_and_body_seen_before_give_the_first_job(api: ServedApi) -> None:
    first = await api.client.post(SUBMIT, {"access_token": TOKEN}, idempotency_key="order-1")
    again = await api.client.post(SUBMIT, {"access_token": TOKEN}, idempotency_key="order-1")
    assert (again.status, again.body) == (202, first.body)
    assert again.headers["location"] == first.headers["location"]
    assert await api.count_jobs() == 1


async def test_fifty_equal_requests_at_once_become_one_job(api: ServedApi) -> None:
    ids = await asyncio.gather(*(api.submit(idempotency_key="order-1") for _ in range(50)))
    assert len(set(ids)) == 1
    assert await api.count_jobs() == 1


async def test_a_key_that_comes_back_with_another_body_is_refused(api: ServedApi) -> None:
    await api.submit(idempotency_key="order-1")
    answer = await api.client.post(SUBMIT, {"access_token": TOKEN + "2"}, idempotency_key="order-1")
    assert answer.status == 422
    assert answer.problem == "idempotency-key-reused"
    assert await api.count_jobs() == 1


async def test_tenants_may_use_the_same_idempotency_key(tmp_path: Path) -> None:
    async with sqlite_database(tmp_path) as database, served_api(database, open_on_loopback=False) as api:
        keys = [await api.key(Scope.SUBMIT, tenant=tenant) for tenant in ("one", "two")]
        ids = [await api.submit(idempotency_key="order-1", x_api_key=key) for key in keys]
    assert ids[0] != ids[1]


async def test_a_full_buffer_answers_429_and_when_to_come_again(tmp_path: Path) -> None:
    async with (
        sqlite_database(tmp_path) as database,
        served_api(database, buffer_size=2, committing=False, static_keys=parse_api_keys([KEY])) as api,
    ):
        waiting = [asyncio.create_task(api.submit(x_api_key=KEY)) for _ in range(2)]
        await settle_loop()
        answer = await api.client.post(SUBMIT, {"access_token": TOKEN}, x_api_key=KEY)
        assert (answer.status, answer.headers["retry-after"]) == (429, "1")
        assert answer.problem == "busy"
        await api.committer.stop()
        await asyncio.gather(*waiting)
        assert await api.count_jobs() == 2


async def test_a_stopping_service_answers_503_and_takes_nothing(api: ServedApi) -> None:
    await api.committer.stop()
    answer = await api.client.post(SUBMIT, {"access_token": TOKEN})
    assert answer.status == 503
    assert answer.problem == "stopping"
    assert int(answer.headers["retry-after"]) > 0
    assert await api.count_jobs() == 0


async def test_a_store_that_is_away_answers_503_without_saying_where_it_is(tmp_path: Path) -> None:
    async with sqlite_database(tmp_path) as database:
        keys = parse_api_keys([KEY])
        async with served_api(database, static_keys=keys) as api:
            await database.close()
            answer = await api.client.post(SUBMIT, {"access_token": TOKEN}, x_api_key=KEY)
    assert answer.status == 503
    assert answer.problem == "store-unavailable"
    assert int(answer.headers["retry-after"]) > 0
    assert "closed" not in answer.text


async def test_a_token_that_google_refuses_is_answered_401_if_that_is_checked(tmp_path: Path) -> None:
    asked: list[str] = []

    async def refuse(token: str) -> bool:
        asked.append(token)
        return False

    async with sqlite_database(tmp_path) as database, served_api(database, check_token=refuse) as api:
        answer = await api.client.post(SUBMIT, {"access_token": TOKEN})
        assert (answer.status, asked) == (401, [TOKEN])
        assert answer.problem == "token-refused"
        assert await api.count_jobs() == 0


GRANT = {"refresh_token": "1//refresh-token-for-tests", "client_id": "client-1", "client_secret": "GOCSPX-secret"}


@pytest.mark.parametrize(("given", "sealed"), [(GRANT, ""), (GRANT | {"access_token": TOKEN}, TOKEN)])
async def test_a_grant_is_sealed_for_its_job(tmp_path: Path, given: dict[str, str], sealed: str) -> None:
    async with sqlite_database(tmp_path) as database, served_api(database) as api:
        answer = await api.client.post(SUBMIT, given)
        assert answer.status == 202
        job_id = answer.json()["job_id"]
        row = await database.read(credentials_of, job_id)
        grant = SEALER.open("default", job_id, row["sealed_grant"], Purpose.GRANT)
        assert RefreshGrant.from_text(grant) == RefreshGrant(**GRANT)
        assert (SEALER.open("default", job_id, row["sealed"]) if row["sealed"] else "") == sealed


@pytest.mark.parametrize(("fresh", "kept"), [("ya29.fresh-from-google", "ya29.fresh-from-google"), ("", "")])
async def test_a_token_that_a_check_brought_is_the_jobs_first(tmp_path: Path, fresh: str, kept: str) -> None:
    """Empty: the token endpoint cannot be asked just now, and the job asks later."""
    asked: list[RefreshGrant] = []

    async def renew(grant: RefreshGrant) -> FreshToken:
        asked.append(grant)
        return FreshToken(fresh, None, None)

    async with sqlite_database(tmp_path) as database, served_api(database, check_grant=renew) as api:
        answer = await api.client.post(SUBMIT, GRANT)
        row = await database.read(credentials_of, answer.json()["job_id"])
        opened = SEALER.open("default", answer.json()["job_id"], row["sealed"]) if row["sealed"] else ""
        assert (answer.status, asked, opened) == (202, [RefreshGrant(**GRANT)], kept)


async def test_a_refresh_token_that_google_replaced_at_a_check_is_the_jobs(tmp_path: Path) -> None:
    async def renew(_: object) -> FreshToken:
        return FreshToken("ya29.fresh-from-google", 3599, "1//in-its-place")

    async with sqlite_database(tmp_path) as database, served_api(database, check_grant=renew) as api:
        job_id = (await api.client.post(SUBMIT, GRANT)).json()["job_id"]
        row = await database.read(credentials_of, job_id)
        grant = RefreshGrant.from_text(SEALER.open("default", job_id, row["sealed_grant"], Purpose.GRANT))
        assert grant == RefreshGrant(**GRANT | {"refresh_token": "1//in-its-place"})


async def test_a_repeat_is_answered_as_before_although_google_refuses_by_now(tmp_path: Path) -> None:
    answers = iter([True, False, False])

    async def check(_: str) -> bool:
        return next(answers)

    async with sqlite_database(tmp_path) as database, served_api(database, check_token=check) as api:
        first = await api.client.post(SUBMIT, {"access_token": TOKEN}, idempotency_key="order-1")
        again = await api.client.post(SUBMIT, {"access_token": TOKEN}, idempotency_key="order-1")
        assert (again.status, again.body) == (202, first.body)
        other = await api.client.post(SUBMIT, {"access_token": TOKEN + "2"}, idempotency_key="order-1")
        assert other.problem == "idempotency-key-reused"
        new = await api.client.post(SUBMIT, {"access_token": TOKEN}, idempotency_key="order-2")
        assert (new.status, new.problem) == (401, "token-refused")
        assert await api.count_jobs() == 1


async def test_a_refresh_token_is_used_once_however_often_its_submission_comes(tmp_path: Path) -> None:
    """The first use may have ended it."""
    asked: list[object] = []

    async def renew(grant: RefreshGrant) -> FreshToken | None:
        asked.append(grant)
        return FreshToken("ya29.fresh-from-google", 3599, "1//in-its-place") if len(asked) == 1 else None

    async with sqlite_database(tmp_path) as database, served_api(database, check_grant=renew) as api:
        answers = [await api.client.post(SUBMIT, GRANT, idempotency_key="order-1") for _ in range(3)]
        assert {(answer.status, answer.body) for answer in answers} == {(202, answers[0].body)}
        assert len(asked) == 1


async def test_a_grant_that_google_refuses_is_answered_401_if_that_is_checked(tmp_path: Path) -> None:
    async def refuse(_: object) -> None:
        return None

    async with sqlite_database(tmp_path) as database, served_api(database, check_grant=refuse) as api:
        answer = await api.client.post(SUBMIT, GRANT)
        assert (answer.status, answer.problem) == (401, "token-refused")
        assert await api.count_jobs() == 0


def credentials_of(transaction: Transaction, job_id: str) -> RowMapping:
    return transaction.connection.execute(select(credentials).where(credentials.c.job_id == job_id)).mappings().one()
