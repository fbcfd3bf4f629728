"""Access tokens that end before the walk does are renewed: once for all replicas, and at the cost of no page."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from app.crash import CrashPoint
from app.models.job import JobStatus
from app.simulator import Catalogue, Faults, Simulator
from app.simulator.calls import fingerprint
from app.simulator.faults import AnyRule, EmptyBody, ExpiredToken, Failure, Hold, InvalidJson, RateLimited
from tests.support.engine import PATIENT, Engine, pages_read, running_engine, truth, worse
from tests.support.service import JOBS, ledger, site, upstream
from tests.support.simulator import control, running_simulator, simulator_process
from tests.support.stack import Stack
from tests.support.verdict import assert_each_review_once

WORLD = Catalogue(accounts=2, locations=4, reviews=170)
GRANT = "1//refresh-token-for-tests"
ENDS_SOON = "ya29.sim-expires100"
"""It has 100 seconds left, fewer than the lead with which a token is renewed."""


async def test_a_job_with_nothing_but_a_refresh_token_completes(faults: Faults, stack: Stack) -> None:
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.job_ended(await engine.submit("", grant=GRANT))
        assert (job["status"], job["error_type"]) == ("completed", None)
        assert await engine.reviews(job["id"]) == truth(google)
        assert google.ledger.calls("token") == 1
        assert_never_refused(google)


async def test_a_token_that_ends_soon_is_renewed_before_it_does(faults: Faults, stack: Stack) -> None:
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job_id = await engine.submit(ENDS_SOON, grant=GRANT)
        job = await engine.job_ended(job_id)
        assert job["status"] == "completed"
        assert await engine.reviews(job_id) == truth(google)
        assert google.ledger.calls("token") == 1
        assert_never_refused(google)
        assert_no_page_was_read_twice(google)


async def test_a_refused_token_is_renewed_at_the_same_page(faults: Faults, stack: Stack) -> None:
    """A page that had failed may begin another row of failures after it."""
    faults = worse(faults, ExpiredToken(api="reviews", after=9, times=1))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url, retry=PATIENT) as engine:
        job_id = await engine.submit(grant=GRANT)
        job = await engine.job_ended(job_id)
        assert (job["status"], job["error_type"], job["credential_version"]) == ("completed", None, 2)
        assert await engine.reviews(job_id) == truth(google)
        assert google.ledger.calls("token") == 1
        assert_no_page_was_read_twice(google)
        assert {task["attempt"] for task in await engine.tasks(job_id)} == {0}


async def test_a_token_refused_before_any_page_is_renewed_too(stack: Stack) -> None:
    async with running_simulator(WORLD) as google, running_engine(stack, google.url) as engine:
        job = await engine.job_ended(await engine.submit("invalid-token-for-tests", grant=GRANT))
        assert (job["status"], google.ledger.calls("token")) == ("completed", 1)
        assert await engine.reviews(job["id"]) == truth(google)


@pytest.mark.postgresql
@pytest.mark.kafka
async def test_of_three_replicas_one_renews_the_token(servers: Stack) -> None:
    """Each has a page of the job in hand when Google ends the token."""
    faults = Faults(rules=(Hold(api="reviews", after=4),))
    async with AsyncExitStack() as open_until_here:
        google = await open_until_here.enter_async_context(running_simulator(WORLD, faults))
        replicas = [
            await open_until_here.enter_async_context(running_engine(servers, google.url, worker_concurrency=2))
            for _ in range(3)
        ]
        job_id = await replicas[0].submit(grant=GRANT)
        assert await google.signals.reached({"held": 4}, 60)
        google.expire("ya29.token-for-tests")
        google.faults.replace(Faults())
        google.release()
        await last_settled(replicas, job_id)
        assert (await replicas[0].job(job_id))["status"] == "completed"
        assert await replicas[0].reviews(job_id) == truth(google)
        assert google.ledger.calls("token") == 1


async def last_settled(replicas: list[Engine], job_id: str) -> None:
    """The replica that settles the job's last page is the one that hears of its end."""
    ends = [asyncio.create_task(replica.job_ended(job_id)) for replica in replicas]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    await asyncio.gather(*ends, return_exceptions=True)


async def test_a_revoked_refresh_token_parks_the_job_until_there_is_another(faults: Faults, stack: Stack) -> None:
    faults = worse(faults, ExpiredToken(api="reviews", after=9, times=1), ExpiredToken(api="token", after=0))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job_id = await engine.submit(grant=GRANT)
        job = await engine.job_is(job_id, JobStatus.NEEDS_TOKEN)
        assert (job["error_type"], job["error_status"]) == ("invalid_grant", 400)
        assert "Google says the refresh token has expired or was revoked" in job["error_detail"]
        before = await engine.reviews(job_id)
        google.faults.replace(Faults())
        await engine.replace_token(job_id, "", grant="1//another-refresh-token")
        job = await engine.job_ended(job_id)
        assert (job["status"], job["error_type"]) == ("completed", None)
        assert 0 < len(before) < len(truth(google))
        assert await engine.reviews(job_id) == truth(google)
        assert_no_page_was_read_twice(google)


DOWN: list[AnyRule] = [
    Failure(api="token", status=503, times=4),
    Failure(api="token", status=502, body="html", times=4),
    RateLimited(api="token", times=2),
    InvalidJson(api="token", times=2),
    EmptyBody(api="token", times=2),
]


@pytest.mark.parametrize("down", DOWN, ids=lambda rule: rule.name)
async def test_a_token_endpoint_that_is_away_costs_no_attempt(stack: Stack, down: AnyRule) -> None:
    faults = Faults(rules=(down, ExpiredToken(api="reviews", after=9, times=1)))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job_id = await engine.submit(grant=GRANT)
        job = await engine.job_ended(job_id)
        assert job["status"] == "completed"
        assert await engine.reviews(job_id) == truth(google)
        assert google.ledger.calls("token") == (down.times or 0) + 1
        assert {task["attempt"] for task in await engine.tasks(job_id)} == {0}


async def test_while_the_old_token_lives_nobody_waits_for_the_new_one(stack: Stack) -> None:
    """The token endpoint answers only when the walk is over."""
    faults = Faults(rules=(Hold(api="token"),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job_id = await engine.submit(ENDS_SOON, grant=GRANT)
        job = await engine.job_ended(job_id)
        assert job["status"] == "completed"
        assert await engine.reviews(job_id) == truth(google)
        google.release()


async def test_a_token_that_is_refused_although_it_is_new_parks_the_job(stack: Stack) -> None:
    faults = Faults(rules=(ExpiredToken(api="reviews"),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job_id = await engine.submit(grant=GRANT)
        job = await engine.job_is(job_id, JobStatus.NEEDS_TOKEN)
        assert job["error_type"] == "fresh_token_refused"
        assert google.ledger.calls("token") == 1


async def test_without_a_token_for_too_long_the_job_asks_for_one(stack: Stack) -> None:
    faults = Faults(rules=(Failure(api="token", status=503),))
    async with (
        running_simulator(WORLD, faults) as google,
        running_engine(stack, google.url, token_wait_sec=1) as engine,
    ):
        job_id = await engine.submit("", grant=GRANT)
        job = await engine.job_is(job_id, JobStatus.NEEDS_TOKEN)
        assert (job["error_type"], job["error_status"]) == ("token_not_renewed", 503)
        assert {task["attempt"] for task in await engine.tasks(job_id)} == {0}


async def test_a_redriven_job_renews_its_token_by_itself(stack: Stack) -> None:
    faults = Faults(rules=(Failure(api="locations", status=400),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job_id = await engine.submit(grant=GRANT)
        job = await engine.job_ended(job_id)
        assert (job["status"], bool(job["token_refreshable"])) == ("dlq", True)
        google.faults.replace(Faults())
        google.expire("ya29.token-for-tests")
        await engine.redrive_all()
        job = await engine.job_ended(job_id)
        assert (job["status"], bool(job["token_refreshable"])) == ("completed", False)
        assert await engine.reviews(job_id) == truth(google)
        assert google.ledger.calls("token") == 1


async def test_a_refresh_token_that_google_replaces_is_replaced_here(stack: Stack) -> None:
    """Each renewal is asked for by the token that came with the last. The access tokens live for two seconds."""
    rotating = "1//sim-rotates1-expires2"
    faults = Faults(rules=(Hold(api="reviews", after=2),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job_id = await engine.submit("", grant=rotating)
        assert await google.signals.reached({"held": 8}, 60)
        expires_at = (await engine.job(job_id))["token_expires_at"]
        await engine.state.clock.sleep(expires_at - engine.state.clock.now())
        google.faults.replace(Faults())
        google.release()
        job = await engine.job_ended(job_id)
        assert job["status"] == "completed"
        assert await engine.reviews(job_id) == truth(google)
        asked_with = [call["token"] for call in calls_of_token_endpoint(google)]
        assert len(asked_with) == len(set(asked_with)) >= 2
        assert asked_with[0] == fingerprint(rotating)


def test_a_refresh_token_that_google_replaces_when_it_is_checked_is_not_lost(tmp_path: Path) -> None:
    """The check uses it up. The job renews by what came in its place."""
    world = "sim-accounts1-locations4-reviews200"
    with simulator_process() as google, site(tmp_path, google, VALIDATE_TOKEN_ON_SUBMIT="true") as place:
        control(google, "PUT", "faults", {"rules": [{"fault": "latency", "seconds": 1.0, "api": "reviews"}]})
        service = place.start(WORKER_CONCURRENCY="1")
        grant = {"refresh_token": f"1//{world}-expires4-rotates1", "client_id": "c", "client_secret": "s"}
        job_id = service.request("POST", JOBS, grant).json()["job_id"]
        assert service.job_ended(job_id)["status"] == "completed"
        assert service.exported(job_id) == upstream(google, f"ya29.{world}")
        renewals = [call for call in ledger(google) if call["api"] == "token"]
        assert len(renewals) >= 3
        assert {call["status"] for call in renewals} == {200}


def test_a_death_between_googles_answer_and_the_store_loses_nothing(tmp_path: Path) -> None:
    token = "ya29.sim-accounts2-locations3-reviews120"
    with simulator_process() as google, site(tmp_path, google) as place:
        service = place.start(CRASH_AT=f"{CrashPoint.TOKEN_RENEWED}:1")
        grant = {"refresh_token": "1//sim-accounts2-locations3-reviews120", "client_id": "c", "client_secret": "s"}
        job_id = service.request("POST", JOBS, grant).json()["job_id"]
        service.killed_itself()
        service = place.start()
        assert_each_review_once(service, google, token, service.job_ended(job_id, 20.0))
        assert [call["api"] for call in ledger(google)].count("token") == 2


def calls_of_token_endpoint(google: Simulator) -> list[dict[str, Any]]:
    return [call for call in google.ledger.entries() if call["api"] == "token"]


def assert_never_refused(google: Simulator) -> None:
    assert [call for call in google.ledger.entries() if call["status"] == 401] == []


def assert_no_page_was_read_twice(google: Simulator) -> None:
    assert [page for page, times in Counter(pages_read(google)).items() if times > 1] == []
