"""Every review of every location of every account, once; and what a job says about each location."""

import json

import pytest

from app.simulator import Catalogue, Faults
from app.simulator.faults import Distort
from tests.support.engine import pages_read, running_engine, truth
from tests.support.simulator import running_simulator
from tests.support.stack import Stack


async def test_every_review_is_kept_once(faults: Faults, stack: Stack) -> None:
    world = Catalogue(accounts=3, locations=7, reviews=120, spread=0.8)
    async with running_simulator(world, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        assert job["status"] == "completed"
        assert await engine.reviews(job["id"]) == truth(google)
        assert job["reviews_fetched"] == job["reviews_expected"] == world.total_reviews()


async def test_lists_of_many_pages_are_read_to_their_end(faults: Faults, stack: Stack) -> None:
    """21 accounts are two pages, 101 locations are two pages each."""
    world = Catalogue(accounts=21, locations=101, reviews=1, shared_locations=100)
    async with running_simulator(world, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        assert (job["status"], job["accounts_found"], job["accounts_done"]) == ("completed", 21, 21)
        assert job["locations_found"] == job["locations_done"] == world.distinct_locations == 121
        assert await engine.reviews(job["id"]) == truth(google)


async def test_a_location_of_several_accounts_is_read_once(faults: Faults, stack: Stack) -> None:
    world = Catalogue(accounts=4, locations=5, reviews=60, shared_locations=3)
    async with running_simulator(world, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        assert await engine.reviews(job["id"]) == truth(google)
        asked = [path.rpartition("/locations/")[2] for path, page in pages_read(google) if not page]
        assert len(asked) == len(set(asked)) == world.distinct_locations


@pytest.mark.parametrize("status", [200, 400, 403, 404])
async def test_an_unverified_location_is_recorded_and_the_job_completes(stack: Stack, status: int) -> None:
    world = Catalogue(accounts=2, locations=6, reviews=30, unverified=0.5, shared_locations=2)
    faults = Faults.parse(json.dumps({"unverified_status": status}))
    async with running_simulator(world, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        known = {item["name"]: item["verified"] for item in google.truth().locations(0, 99)}
        found = {place["location"]: (place["state"], place["cause"]) for place in await engine.locations(job["id"])}
        expected = {name: ("done", None) if good else ("unavailable", "not_verified") for name, good in known.items()}
        assert job["status"] == "completed"
        assert found == expected
        assert job["locations_unavailable"] == 5
        assert await engine.reviews(job["id"]) == truth(google)


async def test_a_location_without_reviews_is_done_and_has_no_gap(faults: Faults, stack: Stack) -> None:
    world = Catalogue(locations=4, reviews=10, empty=1.0)
    async with running_simulator(world, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        assert (job["status"], job["reviews_fetched"], job["locations_done"]) == ("completed", 0, 4)
        ends = {(place["state"], place["total"], place["gap"]) for place in await engine.locations(job["id"])}
        assert ends == {("done", 0, None)}


async def test_a_token_without_accounts_ends_in_an_empty_complete_job(stack: Stack) -> None:
    async with (
        running_simulator(Catalogue(accounts=0)) as google,
        running_engine(stack, google.url) as engine,
    ):
        job = await engine.fetch()
        assert (job["status"], job["accounts_found"], job["tasks_open"]) == ("completed", 0, 0)


async def test_googles_total_and_average_are_kept(stack: Stack) -> None:
    world = Catalogue(locations=3, reviews=70)
    async with running_simulator(world) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        for place in await engine.locations(job["id"]):
            number = world.location_number(place["location"].rpartition("/")[2])
            assert number is not None
            assert place["average"] == round(world.rating_sum(number, 70) / 70, 1)
            assert (place["total"], place["fetched"], place["gap"]) == (70, 70, None)


async def test_strange_fields_are_kept_as_google_wrote_them(stack: Stack) -> None:
    faults = Faults(rules=(Distort(what="wrong_types", count=2, times=3),))
    world = Catalogue(locations=2, reviews=60)
    async with running_simulator(world, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        assert job["status"] == "completed"
        assert await engine.reviews(job["id"]) == truth(google)
        kept = [json.loads(row["raw"]) for row in await engine.review_rows(job["id"])]
        assert sum(review["starRating"] == 5 for review in kept) == 6
        unknown = [row for row in await engine.review_rows(job["id"]) if row["rating"] is None]
        assert {row["reviewer"] for row in unknown} == {None}


async def test_two_jobs_share_neither_rows_nor_worlds(faults: Faults, stack: Stack) -> None:
    async with running_simulator(faults=faults) as google, running_engine(stack, google.url) as engine:
        tokens = [f"ya29.sim-accounts2-locations3-reviews{size}-seed{size}" for size in (20, 70, 130)]
        ids = [await engine.submit(token) for token in tokens]
        for job_id, token in zip(ids, tokens, strict=True):
            assert (await engine.job_ended(job_id))["status"] == "completed"
            assert await engine.reviews(job_id) == truth(google, token)
