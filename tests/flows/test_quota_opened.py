"""A quota that opens before its time: by another limit, or by a token of another Google project."""

from app.config.groups import RateLimitConfig
from app.pipeline.owners import ASK_AGAIN_SECONDS
from app.pipeline.settle import LONGEST_DELAY_SECONDS
from app.simulator import Catalogue, Faults
from app.simulator.faults import Failure, RateLimited
from app.store.reads import read_job
from tests.support.engine import Engine, running_engine, truth
from tests.support.quota import zone_at_noon
from tests.support.simulator import running_simulator
from tests.support.stack import Stack

DAY_OF_THREE = RateLimitConfig(token_bucket_capacity=0, per_minute=0, per_day=3, day_zone=zone_at_noon())

MARGIN_SECONDS = 15.0
"""For a job of some pages on a busy machine."""


async def told_to_wait(engine: Engine, job_id: str) -> bool:
    return (await engine.state.database.read(read_job, "default", job_id)).waiting is not None


async def test_with_a_higher_limit_a_job_goes_on_that_waited_for_midnight(stack: Stack) -> None:
    async with running_simulator(Catalogue(accounts=1, locations=2, reviews=400)) as google:
        async with running_engine(stack, google.url, worker_concurrency=2, rate_limit=DAY_OF_THREE) as engine:
            job_id = await engine.submit()
            job = await engine.until(job_id, lambda job: job["waiting_reason"] is not None)
            assert job["waiting_until"] > engine.state.clock.now() + LONGEST_DELAY_SECONDS + MARGIN_SECONDS
        began = google.ledger.calls("reviews")
        async with running_engine(stack, google.url, worker_concurrency=2) as engine:
            before = engine.state.clock.now()
            await engine.until(job_id, lambda job: job["reviews_fetched"] > began * 50)
            assert not await told_to_wait(engine, job_id)
            job = await engine.job_ended(job_id)
            assert job["finished_at"] - before < LONGEST_DELAY_SECONDS + MARGIN_SECONDS
            assert await engine.reviews(job_id) == truth(google)


async def test_a_job_goes_on_with_a_token_of_another_google_project(stack: Stack) -> None:
    faults = Faults(rules=(RateLimited(api="reviews", times=1, after=1, retry_after=3000),))
    token = "ya29.sim-accounts1-locations2-reviews400-project2"
    async with (
        running_simulator(Catalogue(accounts=1, locations=2, reviews=400), faults) as google,
        running_engine(stack, google.url, worker_concurrency=1) as engine,
    ):
        job_id = await engine.submit()
        await engine.until(job_id, lambda job: job["waiting_reason"] is not None)
        before = engine.state.clock.now()
        await engine.replace_token(job_id, token)
        assert not await told_to_wait(engine, job_id)
        job = await engine.job_ended(job_id)
        assert job["finished_at"] - before < LONGEST_DELAY_SECONDS + MARGIN_SECONDS
        assert (job["status"], job["google_project"]) == ("completed", "2")


async def test_a_project_that_could_not_be_asked_for_once_is_known_later(stack: Stack) -> None:
    """And the budget that stood in for it, closed meanwhile, holds up neither this job nor another."""
    rules = (Failure(api="tokeninfo", status=503, times=1), RateLimited(api="accounts", times=1, retry_after=3000))
    async with (
        running_simulator(Catalogue(accounts=1, locations=2, reviews=20), Faults(rules=rules)) as google,
        running_engine(stack, google.url) as engine,
    ):
        unlucky = await engine.submit()
        job = await engine.until(unlucky, lambda job: job["waiting_reason"] is not None)
        assert job["google_project"] is None
        other = await engine.fetch("ya29.sim-accounts1-locations1-reviews20")
        assert (other["status"], other["google_project"]) == ("completed", "1")
        job = await engine.job_ended(unlucky)
        assert (job["status"], job["google_project"]) == ("completed", "1")
        assert job["finished_at"] - job["created_at"] < ASK_AGAIN_SECONDS + MARGIN_SECONDS
        assert google.ledger.calls("tokeninfo") == 3
