"""Two tenants whose tokens belong to one Google project share its quota by their weights, judged by Google's ledger.

API4:2023 (unrestricted resource consumption): one tenant's flood starves nobody.
"""

from contextlib import AsyncExitStack

import pytest

from app.config.groups import RateLimitConfig
from app.simulator import Catalogue, Simulator
from app.simulator.calls import fingerprint
from app.store.tenants import change_tenant
from tests.support.engine import Engine, running_engine
from tests.support.simulator import running_simulator
from tests.support.stack import Stack

pytestmark = pytest.mark.alone

RATE = 12.5
"""So little that a busy machine keeps up with it: what tenants share is the quota, not the machine."""

LIMITS = RateLimitConfig(token_bucket_capacity=25, refill_rate=RATE, per_minute=0)
FLOOD, LATE = "ya29.sim-locations600-reviews5", "ya29.sim-locations600-reviews5-seed9"

TOLERANCE = 0.05
"""By so much the part of the calls that a tenant gets may be off over ten seconds: calls come in shares of up to two
seconds' worth."""

FIRST_PAGE_SECONDS = 8.0
"""Three stages, each with a place to get from the flood and a call to wait for, and Kafka between them: a second where
nothing else runs."""

CALLS_UNTIL_SETTLED = 40
CALLS_JUDGED = 120


class Shared:
    """A flood that has begun, and the calls of the tenant that comes later."""

    def __init__(self, google: Simulator, *engines: Engine) -> None:
        self.google = google
        self.engines = engines

    async def flood(self, jobs: int = 1) -> None:
        for _ in range(jobs):
            await self.engines[0].submit(FLOOD, "flood")
        assert await self.google.signals.reached({"answered:reviews": 40}, 30)

    async def late(self) -> float:
        """Seconds until its first page of reviews was asked for; returns when enough was seen of both."""
        before = self.google.ledger.calls("reviews")
        last = max(call["time"] for call in self.google.ledger.entries())
        await self.engines[-1].submit(LATE, "late")
        seen = before + FIRST_PAGE_SECONDS * RATE + CALLS_UNTIL_SETTLED + CALLS_JUDGED
        assert await self.google.signals.reached({"answered:reviews": int(seen)}, 60)
        return self.calls(LATE)[0] - float(last)

    def calls(self, token: str) -> list[float]:
        entries = self.google.ledger.entries()
        return sorted(
            call["time"] for call in entries if call["api"] == "reviews" and call["token"] == fingerprint(token)
        )

    def part_of_late(self) -> float:
        """Of the calls from the first one of the late tenant on, once its share has settled."""
        calls = sorted([(time, "late") for time in self.calls(LATE)] + [(time, "flood") for time in self.calls(FLOOD)])
        begin = next(number for number, (_, whose) in enumerate(calls) if whose == "late")
        begin += CALLS_UNTIL_SETTLED
        judged = calls[begin : begin + CALLS_JUDGED]
        assert len(judged) == CALLS_JUDGED
        return sum(whose == "late" for _, whose in judged) / len(judged)

    async def stop(self) -> None:
        services = self.engines[0].state.services
        for tenant in ("flood", "late"):
            for job in (await services.progress.jobs(tenant, None, 100, None)).jobs:
                await services.job_control.cancel(tenant, job.job_id)


@pytest.mark.parametrize(("weight", "part"), [(1, 1 / 2), (3, 3 / 4)])
async def test_a_flood_and_a_tenant_that_comes_late_share_the_calls_by_weight(
    stack: Stack, weight: int, part: float
) -> None:
    async with (
        running_simulator(Catalogue()) as google,
        running_engine(stack, google.url, rate_limit=LIMITS) as engine,
    ):
        await engine.state.database.write(change_tenant, "late", {"weight": weight})
        shared = Shared(google, engine)
        await shared.flood()
        waited = await shared.late()
        found = shared.part_of_late()
        await shared.stop()
        assert waited <= FIRST_PAGE_SECONDS
        assert found == pytest.approx(part, abs=TOLERANCE)


async def test_a_flood_of_many_jobs_has_no_more_than_one_of_a_single_job(stack: Stack) -> None:
    async with (
        running_simulator(Catalogue()) as google,
        running_engine(stack, google.url, rate_limit=LIMITS) as engine,
    ):
        shared = Shared(google, engine)
        await shared.flood(jobs=20)
        waited = await shared.late()
        found = shared.part_of_late()
        await shared.stop()
        assert waited <= FIRST_PAGE_SECONDS
        assert found == pytest.approx(1 / 2, abs=TOLERANCE)


@pytest.mark.postgresql
@pytest.mark.kafka
@pytest.mark.parametrize(("weight", "part"), [(1, 1 / 2), (3, 3 / 4)])
async def test_replicas_share_the_calls_alike(servers: Stack, weight: int, part: float) -> None:
    async with running_simulator(Catalogue()) as google, AsyncExitStack() as running:
        engines = [
            await running.enter_async_context(running_engine(servers, google.url, rate_limit=LIMITS)) for _ in range(2)
        ]
        await engines[0].state.database.write(change_tenant, "late", {"weight": weight})
        shared = Shared(google, *engines)
        await shared.flood()
        waited = await shared.late()
        found = shared.part_of_late()
        await shared.stop()
        assert waited <= FIRST_PAGE_SECONDS
        assert found == pytest.approx(part, abs=TOLERANCE)
