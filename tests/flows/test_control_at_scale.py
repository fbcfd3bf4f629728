"""Cancel, pause and resume take effect within a page, however many tasks a job has; judged by Google's ledger."""

import pytest

from app.models.access import DEFAULT_TENANT
from app.models.job import TaskStatus
from app.simulator import Catalogue, Faults, Simulator
from app.simulator.calls import fingerprint
from app.simulator.faults import Hold
from app.store.schema import credentials, tasks
from tests.support.engine import TOKEN, Engine, Row, running_engine
from tests.support.simulator import running_simulator
from tests.support.stack import Stack

LOCATIONS = 10_000
IN_FLIGHT = 8
"""As many as the engine works on at once."""

WORLD = Catalogue(accounts=1, locations=LOCATIONS, reviews=1)

SMALL = "ya29.sim-accounts1-locations3-reviews3-small"
"""Another merchant: when its job has ended, the scheduler has been everywhere."""

RESUMED = 500
"""Reviews that are there when a resumed job has gone on far enough."""

HELD = Faults(rules=(Hold(api="reviews", after=20),))

COUNTERS = ("tasks_open", "tasks_done", "reviews_fetched", "locations_done", "calls", "pages_settled")


async def many_tasks_and_some_in_flight(engine: Engine, google: Simulator) -> str:
    """A job with ten thousand open tasks, and calls that Google has not answered yet."""
    job_id = await engine.submit()
    assert await google.signals.reached({"held": IN_FLIGHT}, 30)
    job = await engine.until(job_id, lambda row: row["locations_found"] == LOCATIONS)
    assert job["tasks_open"] > LOCATIONS - 100
    return job_id


async def let_everything_happen(engine: Engine, google: Simulator) -> None:
    """What is in flight ends, and whatever would be called after it has its chance."""
    google.clear_faults()
    google.release()
    assert (await engine.fetch(SMALL))["status"] == "completed"
    while await engine.rows(tasks, tasks.c.status == TaskStatus.HELD.value):
        await engine.state.clock.sleep(0.05)


def asked(google: Simulator) -> list[str]:
    """The locations of the large merchant that Google was asked about, call by call."""
    of_job = fingerprint(TOKEN)
    return [call["path"] for call in google.ledger.entries() if (call["api"], call["token"]) == ("reviews", of_job)]


def counters(job: Row) -> dict[str, int]:
    return {name: job[name] for name in COUNTERS}


async def versions(engine: Engine, job_id: str) -> int:
    """Every transition of a task raises its version."""
    return sum(task["version"] for task in await engine.tasks(job_id))


@pytest.mark.timeout(180)
async def test_a_pause_of_ten_thousand_tasks_keeps_the_pages_in_flight_and_calls_nobody_after_them(
    stack: Stack,
) -> None:
    async with running_simulator(WORLD, HELD) as google, running_engine(stack, google.url) as engine:
        job_id = await many_tasks_and_some_in_flight(engine, google)
        before, tasks_before = await engine.job(job_id), await versions(engine, job_id)
        control = engine.state.services.job_control
        await control.pause(DEFAULT_TENANT, job_id)
        assert await versions(engine, job_id) == tasks_before
        await let_everything_happen(engine, google)
        paused = await engine.job(job_id)
        assert len(asked(google)) == 20 + IN_FLIGHT
        assert paused["status"] == "paused"
        assert paused["reviews_fetched"] - before["reviews_fetched"] <= IN_FLIGHT
        await control.resume(DEFAULT_TENANT, job_id)
        await engine.until(job_id, lambda job: job["reviews_fetched"] >= RESUMED)
        await control.cancel(DEFAULT_TENANT, job_id)
        assert len(asked(google)) == len(set(asked(google))) >= RESUMED


@pytest.mark.timeout(180)
async def test_a_cancelled_job_of_ten_thousand_tasks_keeps_its_results_and_no_token(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.results.housekeeping.TIDY_SECONDS", 3600.0)  # it ends what a cancelled job left waiting
    async with running_simulator(WORLD, HELD) as google, running_engine(stack, google.url) as engine:
        job_id = await many_tasks_and_some_in_flight(engine, google)
        tasks_before = await versions(engine, job_id)
        await engine.state.services.job_control.cancel(DEFAULT_TENANT, job_id)
        cancelled, kept = await engine.job(job_id), await engine.reviews(job_id)
        assert await versions(engine, job_id) == tasks_before
        assert await engine.rows(credentials, credentials.c.job_id == job_id) == []
        await let_everything_happen(engine, google)
        assert len(asked(google)) == 20 + IN_FLIGHT
        assert counters(await engine.job(job_id)) == counters(cancelled)
        assert await engine.reviews(job_id) == kept
        assert len(kept) == cancelled["reviews_fetched"] == 20
        parts = [part async for part in await engine.state.services.export.ndjson(DEFAULT_TENANT, job_id)]
        assert len(b"".join(parts).splitlines()) == 20
