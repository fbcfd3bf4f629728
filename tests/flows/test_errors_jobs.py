"""What ends a job, what only makes it wait, and what it says about it."""

import pytest

from app.models.job import JobStatus
from app.simulator import Catalogue, Faults
from app.simulator.faults import AnyRule, ExpiredToken, Failure, Forbidden, Hold, RateLimited
from tests.support.engine import Engine, pages_read, running_engine, truth, worse
from tests.support.simulator import running_simulator
from tests.support.stack import Stack

WORLD = Catalogue(accounts=2, locations=4, reviews=170)


async def test_a_token_that_google_refuses_at_once_fails_the_job(stack: Stack) -> None:
    async with running_simulator(WORLD) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch("invalid-token-for-tests")
        assert (job["status"], job["error_type"]) == ("failed", "invalid_token")
        assert google.ledger.calls("reviews") == 0


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        (RateLimited(api="accounts", limit=0), "not_approved"),
        (Forbidden(api="accounts", reason="SERVICE_DISABLED"), "SERVICE_DISABLED"),
        (Forbidden(api="accounts", reason="ACCESS_TOKEN_SCOPE_INSUFFICIENT"), "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
        (Forbidden(api="accounts"), "PERMISSION_DENIED"),
        (Failure(api="accounts", status=400), "INVALID_ARGUMENT"),
        (RateLimited(api="reviews", limit=0), "not_approved"),
    ],
)
async def test_a_job_that_cannot_go_on_fails_with_its_cause(stack: Stack, rule: AnyRule, cause: str) -> None:
    async with (
        running_simulator(WORLD, Faults(rules=(rule,))) as google,
        running_engine(stack, google.url) as engine,
    ):
        job = await engine.fetch()
        assert (job["status"], job["error_type"]) == ("failed", cause)
        assert job["error_detail"]
        assert await engine.reviews(job["id"]) == []


async def test_a_token_that_runs_out_in_mid_walk_costs_no_page(faults: Faults, stack: Stack) -> None:
    """Another token goes on at the same pages: no page is read twice."""
    faults = worse(faults, ExpiredToken(api="reviews", after=9, times=1))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job_id = await engine.submit()
        job = await engine.job_is(job_id, JobStatus.NEEDS_TOKEN)
        assert (job["error_type"], job["finished_at"]) == ("token_expired", None)
        before = await engine.reviews(job_id)
        await engine.replace_token(job_id, "ya29.another-token-for-tests")
        job = await engine.job_ended(job_id)
        assert (job["status"], job["error_type"]) == ("completed", None)
        assert 0 < len(before) < len(truth(google))
        assert await engine.reviews(job_id) == truth(google)
        read = list(pages_read(google))
        assert len(read) == len(set(read))
        assert {task["attempt"] for task in await engine.tasks(job_id)} == {0}


async def test_a_refusal_of_the_old_token_does_not_park_a_job_that_has_a_new_one(stack: Stack) -> None:
    """The call with the old token is under way while the new one comes."""
    faults = Faults(rules=(Hold(api="reviews", after=1, times=1), ExpiredToken(api="reviews", after=1, times=1)))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job_id = await engine.submit()
        assert await google.signals.reached({"held": 1}, 30)
        await engine.replace_token(job_id, "ya29.another-token-for-tests")
        google.release()
        job = await engine.job_ended(job_id)
        assert job["status"] == "completed"
        assert await engine.reviews(job_id) == truth(google)


async def test_a_storm_over_the_list_of_accounts_can_be_redriven(stack: Stack) -> None:
    faults = Faults(rules=(Failure(api="accounts", status=500, body="html"),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        assert (job["status"], job["tasks_dead"]) == ("dlq", 1)
        google.clear_faults()
        await engine.redrive_all()
        assert (await engine.job_ended(job["id"]))["status"] == "completed"
        assert await engine.reviews(job["id"]) == truth(google)


async def test_no_retries_means_one_failure_is_the_end(stack: Stack) -> None:
    faults = Faults(rules=(Failure(api="locations", status=503, times=1),))
    async with (
        running_simulator(WORLD, faults) as google,
        running_engine(stack, google.url, retry={"max_retries": 0}) as engine,
    ):
        job = await engine.fetch()
        (letter,) = await engine.dead_letters(job["id"])
        assert (job["status"], letter["stage"], letter["attempts"]) == ("dlq", "locations", 1)


async def test_a_cancelled_job_drops_the_page_in_flight_and_never_changes_again(stack: Stack) -> None:
    faults = Faults(rules=(Hold(api="reviews", after=3),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job_id = await engine.submit()
        assert await google.signals.reached({"held": 8}, 30)
        await cancel(engine, job_id)
        cancelled, rows = await engine.job(job_id), await engine.reviews(job_id)
        settlements = engine.changes.settlements
        google.clear_faults()
        google.release()
        await engine.settled_more(settlements + 8)
        assert cancelled["status"] == "cancelled"
        assert await engine.job(job_id) == cancelled
        assert await engine.reviews(job_id) == rows


async def cancel(engine: Engine, job_id: str) -> None:
    await engine.state.services.job_control.cancel("default", job_id)


async def test_a_paused_job_keeps_the_pages_in_flight_and_goes_on_behind_them(stack: Stack) -> None:
    faults = Faults(rules=(Hold(api="reviews", after=3),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job_id = await engine.submit()
        assert await google.signals.reached({"held": 8}, 30)
        job = await engine.job(job_id)
        await engine.state.services.job_control.pause("default", job_id)
        settlements = engine.changes.settlements
        google.clear_faults()
        google.release()
        await engine.settled_more(settlements + 8)
        paused = await engine.job(job_id)
        assert (paused["status"], paused["pages_settled"]) == ("paused", job["pages_settled"] + 8)
        await engine.state.services.job_control.resume("default", job_id)
        assert (await engine.job_ended(job_id))["status"] == "completed"
        assert await engine.reviews(job_id) == truth(google)
        read = list(pages_read(google))
        assert len(read) == len(set(read))
