"""The quota, judged by the ledger of the Google that was called: kept, used, and survived when Google says stop."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from app.clock import SystemClock
from app.config.groups import RateLimitConfig
from app.simulator import Catalogue, Faults, Simulator
from app.simulator.faults import Quota, RateLimited
from app.store.sqlite import SqliteDatabase
from app.wiring import opening
from tests.support.engine import LOOK_SECONDS, PATIENCE_SECONDS, running_engine, truth
from tests.support.quota import worst_bucket_excess
from tests.support.simulator import running_simulator
from tests.support.stack import Stack

pytestmark = pytest.mark.alone

UTILISATION = 0.95

ON_THE_WAY_SECONDS = 0.25
"""Between a permit and the count of Google's: a pause of this process or of its machine delays a call by so much."""


def best_utilisation(times: Sequence[float], capacity: float, rate: float) -> float:
    """The largest part of what capacity + rate · T allowed that had been called at some moment of the last quarter.

    Permits come in shares, so that calls come in bursts and the last one may be late by a pause between two: a late
    permit is caught up at the next burst, and only one that was lost is missing at every later moment.
    """
    numbered = list(enumerate(sorted(times), start=1))
    return max(calls / (capacity + rate * (moment - min(times))) for calls, moment in numbered[-len(numbered) // 4 :])


def arrivals(google: Simulator, api: str = "reviews") -> list[float]:
    return sorted(call["time"] for call in google.ledger.entries() if call["api"] == api)


async def test_a_bucket_is_kept_and_used_while_work_waits(stack: Stack) -> None:
    limits = RateLimitConfig(token_bucket_capacity=70, refill_rate=25.0, per_minute=0)
    world = Catalogue(accounts=2, locations=140, reviews=5)
    async with (
        running_simulator(world) as google,
        running_engine(stack, google.url, rate_limit=limits) as engine,
    ):
        job = await engine.fetch()
        times = arrivals(google)
        assert (job["status"], len(times)) == ("completed", 280)
        assert worst_bucket_excess(times, 70, 25.0) <= 0
        assert best_utilisation(times, 70, 25.0) >= UTILISATION


class FastClock(SystemClock):
    """Time that passes six times as fast: a minute takes ten seconds."""

    SPEED = 6.0

    def __init__(self) -> None:
        self._began, self._epoch = time.monotonic(), time.time()

    def now(self) -> float:
        return self._epoch + self.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self._began) * self.SPEED

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / self.SPEED)


async def test_the_limit_of_a_minute_is_kept_in_every_sixty_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Google's own limit is as high as ours: one call too many would be answered with 429. SQLite alone: the time of a
    PostgreSQL cannot be made to pass faster. The way to Google cannot either: it has the time that it really has."""
    clock = FastClock()
    monkeypatch.setattr(opening, "SqliteDatabase", partial(SqliteDatabase, clock=clock))
    limits = RateLimitConfig(token_bucket_capacity=0, per_minute=60)
    window = 60 / clock.SPEED - ON_THE_WAY_SECONDS
    strict = Faults(quota=Quota(reviews=60, seconds=window))
    async with (
        running_simulator(Catalogue(locations=90, reviews=5), strict) as google,
        running_engine(Stack.on_sqlite(tmp_path), google.url, clock=clock, rate_limit=limits) as engine,
    ):
        job = await engine.fetch()
        assert job["status"] == "completed"
        assert google.faults.fired["quota"] == 0
        assert google.ledger.calls("reviews") == 90
        assert google.ledger.most_in(window)["reviews"] <= 60


async def test_when_a_day_is_spent_the_job_waits_for_midnight_and_says_so(stack: Stack) -> None:
    limits = RateLimitConfig(token_bucket_capacity=0, per_minute=0, per_day=25)
    async with (
        running_simulator(Catalogue(locations=40, reviews=5)) as google,
        running_engine(stack, google.url, rate_limit=limits) as engine,
    ):
        job_id = await engine.submit()
        job = await engine.until(job_id, lambda job: job["waiting_reason"] is not None)
        assert job["status"] == "processing"
        assert "day" in job["waiting_reason"]
        midnight = datetime.fromtimestamp(job["waiting_until"], ZoneInfo("America/Los_Angeles"))
        assert (midnight.hour, midnight.minute) == (0, 0)
        assert google.ledger.calls("reviews") <= 25
        assert {task["attempt"] for task in await engine.tasks(job_id)} == {0}


async def test_of_a_job_whose_day_is_spent_nothing_is_with_workers_or_on_its_way(stack: Stack) -> None:
    """What is counted to scale by is 0 then: released work is not left for the hours until midnight."""
    limits = RateLimitConfig(token_bucket_capacity=0, per_minute=0, per_day=25)
    async with (
        running_simulator(Catalogue(locations=200, reviews=5)) as google,
        running_engine(stack, google.url, rate_limit=limits) as engine,
    ):
        job_id = await engine.submit()
        await engine.until(job_id, lambda job: job["waiting_reason"] is not None)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while {task["status"] for task in await engine.tasks(job_id)} != {"waiting", "done"}:
                await engine.state.clock.sleep(LOOK_SECONDS)
        scraped = await engine.state.metrics.scrape()
        assert work_to_scale_by(scraped.decode()) == {"runnable": 0, "released": 0, "held": 0}


def work_to_scale_by(scraped: str) -> dict[str, float]:
    """Of the stage reviews."""
    named = {'review_fetcher_runnable_tasks{stage="reviews"}': "runnable"}
    named |= {f'review_fetcher_tasks{{stage="reviews",status="{status}"}}': status for status in ("released", "held")}
    lines = (line.rpartition(" ") for line in scraped.splitlines())
    return {named[series]: float(value) for series, _, value in lines if series in named}


async def test_a_restart_does_not_refill_the_bucket(stack: Stack) -> None:
    limits = RateLimitConfig(token_bucket_capacity=30, refill_rate=10.0, per_minute=0)
    async with running_simulator(Catalogue(locations=90, reviews=5)) as google:
        async with running_engine(stack, google.url, rate_limit=limits) as engine:
            job_id = await engine.submit()
            assert await google.signals.reached({"answered:reviews": 30}, 20)
        before = google.ledger.calls("reviews")
        async with running_engine(stack, google.url, rate_limit=limits) as engine:
            assert (await engine.job_ended(job_id))["status"] == "completed"
        times = arrivals(google)
        assert 30 <= before < 90 == len(times)
        assert worst_bucket_excess(times, 30, 10.0) <= 0


async def test_a_429_closes_the_budget_for_everyone_until_it_may_be_asked_again(stack: Stack) -> None:
    faults = Faults(rules=(RateLimited(api="reviews", after=20, times=1, retry_after=2),))
    world = Catalogue(accounts=2, locations=20, reviews=60)
    async with running_simulator(world, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        assert job["status"] == "completed"
        assert await engine.reviews(job["id"]) == truth(google)
        (refused,) = [call for call in google.ledger.entries() if call["status"] == 429]
        told = refused["time"] + refused["duration"]
        later = [moment - told for moment in arrivals(google) if moment > told]
        assert [moment for moment in later if 0.5 < moment < 2.0] == []
        assert max(later) > 2.0
        assert {task["attempt"] for task in await engine.tasks(job["id"])} == {0}


async def test_throttling_is_no_failed_attempt(stack: Stack) -> None:
    """Google allows 10 calls in half a second, and nobody told us; not one retry is allowed."""
    strict = Faults(quota=Quota(accounts=10, locations=10, reviews=10, seconds=0.5, retry_after=0.5))
    world = Catalogue(accounts=2, locations=50, reviews=5)
    async with (
        running_simulator(world, strict) as google,
        running_engine(stack, google.url, retry={"max_retries": 0}) as engine,
    ):
        job = await engine.fetch()
        assert google.faults.fired["quota"] > 0
        assert (job["status"], job["tasks_dead"]) == ("completed", 0)
        assert await engine.reviews(job["id"]) == truth(google)


async def test_a_small_job_overtakes_a_large_one_that_waits_for_quota(stack: Stack) -> None:
    limits = RateLimitConfig(token_bucket_capacity=30, refill_rate=30.0, per_minute=0)
    large, small = "ya29.sim-locations600-reviews5", "ya29.sim-locations1-reviews60-seed9"
    async with (
        running_simulator() as google,
        running_engine(stack, google.url, rate_limit=limits) as engine,
    ):
        large_id = await engine.submit(large)
        assert await google.signals.reached({"answered:reviews": 40}, 20)
        small_id = await engine.submit(small)
        assert (await engine.job_ended(small_id))["status"] == "completed"
        assert await engine.reviews(small_id) == truth(google, small)
        unfinished = await engine.job(large_id)
        assert unfinished["status"] == "processing"
        assert unfinished["tasks_open"] > 150
        await engine.state.services.job_control.cancel("default", large_id)
