"""What goes wrong with one location stays with that location."""

import pytest
from msgspec.structs import replace

from app.simulator import Catalogue, Faults
from app.simulator.faults import AnyRule, Distort, Failure, Forbidden, Hang, Hold
from tests.support.engine import PATIENT, running_engine, truth
from tests.support.simulator import running_simulator
from tests.support.stack import Stack

WORLD = Catalogue(accounts=2, locations=4, reviews=60)


async def test_a_404_that_comes_once_is_looked_at_again(stack: Stack) -> None:
    faults = Faults(rules=(Failure(api="locations", status=404, times=1), Failure(api="reviews", status=404, times=3)))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        assert google.faults.fired["failure"] == 4
        assert (job["status"], job["locations_unavailable"]) == ("completed", 0)
        assert await engine.reviews(job["id"]) == truth(google)


async def test_a_location_that_answers_404_twice_is_unavailable(stack: Stack) -> None:
    name = WORLD.location_name(2)
    faults = Faults(rules=(Failure(api="reviews", path=name, status=404),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        assert google.faults.fired["failure"] == 2
        assert (job["status"], job["locations_unavailable"], job["tasks_dead"]) == ("completed", 1, 0)
        (place,) = [place for place in await engine.locations(job["id"]) if place["location"] == name]
        assert (place["state"], place["cause"]) == ("unavailable", "not_found")
        assert await engine.reviews(job["id"]) == [row for row in truth(google) if row[0] != name]


async def test_a_location_refused_to_one_account_is_read_through_the_other(stack: Stack) -> None:
    """The first account may list the shared locations, not read them."""
    world = Catalogue(accounts=2, locations=4, reviews=60, shared_locations=4)
    faults = Faults(rules=(Forbidden(api="reviews", path=world.account_name(0)),))
    async with running_simulator(world, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        assert (job["status"], job["tasks_dead"]) == ("completed", 0)
        assert await engine.reviews(job["id"]) == truth(google)
        assert {place["account"] for place in await engine.locations(job["id"])} == {world.account_name(1)}
        assert await engine.dead_letters(job["id"]) == []


@pytest.mark.parametrize("refusal", [Forbidden(), Failure(status=404)])
async def test_an_account_that_comes_late_is_tried_for_a_location_given_up_already(
    stack: Stack, refusal: AnyRule
) -> None:
    world = Catalogue(accounts=2, locations=2, reviews=60, shared_locations=1)
    first, second, shared = world.account_name(0), world.account_name(1), world.location_name(0)
    refusal = replace(refusal, api="reviews", path=f"{first}/{shared}")
    rules = (Hold(api="locations", path=second, times=1), refusal)
    async with running_simulator(world, Faults(rules=rules)) as google, running_engine(stack, google.url) as engine:
        job_id = await engine.submit()
        await engine.until(job_id, lambda job: job["tasks_dead"] + job["locations_unavailable"] == 1)
        google.release()
        job = await engine.job_ended(job_id)
        assert (job["status"], job["tasks_dead"], job["locations_unavailable"]) == ("completed", 0, 0)
        assert (job["tasks_open"], job["tasks_done"]) == (0, 6)
        assert await engine.reviews(job_id) == truth(google)
        assert [letter for letter in await engine.dead_letters(job_id) if letter["redriven_at"] is None] == []


async def test_a_location_that_no_account_may_read_is_dead_lettered_and_the_job_goes_on(stack: Stack) -> None:
    name = WORLD.location_name(1)
    faults = Faults(rules=(Forbidden(api="reviews", path=name),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        (letter,) = await engine.dead_letters(job["id"])
        assert (job["status"], job["tasks_dead"]) == ("dlq", 1)
        assert (letter["resource"], letter["cause"]) == (name, "PERMISSION_DENIED")
        (place,) = [place for place in await engine.locations(job["id"]) if place["location"] == name]
        assert (place["state"], place["cause"]) == ("dead", "PERMISSION_DENIED")
        assert await engine.reviews(job["id"]) == [row for row in truth(google) if row[0] != name]


async def test_an_api_that_is_off_hides_no_location_and_a_redrive_reads_them_once_it_is_on(stack: Stack) -> None:
    """Also those that are not known to be verified: the refusal is not about them."""
    world = Catalogue(accounts=2, locations=4, reviews=60, unverified=0.5, shared_locations=2)
    faults = Faults(rules=(Forbidden(api="reviews", reason="SERVICE_DISABLED"),))
    async with running_simulator(world, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        assert (job["status"], job["locations_unavailable"], job["tasks_dead"]) == ("dlq", 0, job["locations_found"])
        letters = await engine.dead_letters(job["id"])
        assert {letter["cause"] for letter in letters} == {"SERVICE_DISABLED"}
        assert google.ledger.calls("reviews") == len(letters) == job["locations_found"]
        google.clear_faults()
        await engine.redrive_all()
        job = await engine.job_ended(job["id"])
        assert (job["status"], job["tasks_dead"]) == ("completed", 0)
        assert await engine.reviews(job["id"]) == truth(google)
        states = {(place["verified"], place["state"]) for place in await engine.locations(job["id"])}
        assert states == {(True, "done"), (False, "unavailable")}


async def test_a_storm_ends_in_dead_letters_and_a_redrive_completes_the_job(stack: Stack) -> None:
    storm = Faults(rules=(Failure(api="reviews", path=WORLD.location_name(0), status=503, paged=True),))
    async with running_simulator(WORLD, storm) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        (letter,) = await engine.dead_letters(job["id"])
        assert (job["status"], job["finished_at"] is None) == ("dlq", False)
        assert (letter["cause"], letter["attempts"], letter["redrives"]) == ("http_503", 4, 0)
        assert google.faults.fired["failure"] == 4
        google.clear_faults()
        google.ledger.reset()
        result = await engine.redrive_all()
        assert (result.matched, result.redriven) == (1, 1)
        job = await engine.job_ended(job["id"])
        assert (job["status"], job["tasks_dead"], job["tasks_open"]) == ("completed", 0, 0)
        assert await engine.reviews(job["id"]) == truth(google)
        assert [call["page_token"] for call in google.ledger.entries()] == [letter["cursor"]]


async def test_an_oversized_review_is_dead_lettered_once_and_its_page_goes_on(stack: Stack) -> None:
    """The location is looked at twice, and meets the review twice: the rows never equal Google's total."""
    name = WORLD.location_name(3)
    faults = Faults(rules=(Distort(what="oversized", size=30_000, count=1, path=name, paged=False),))
    async with (
        running_simulator(WORLD, faults) as google,
        running_engine(stack, google.url, max_review_bytes=20_000) as engine,
    ):
        job = await engine.fetch()
        newest = (name, next(google.truth().review_ids(name)))
        (letter,) = await engine.dead_letters(job["id"])
        assert (letter["stage"], letter["cause"]) == ("review", "review_too_large")
        assert letter["resource"] == f"{newest[0]}/reviews/{newest[1]}"
        assert job["status"] == "completed"
        assert await engine.reviews(job["id"]) == [row for row in truth(google) if row != newest]
        (place,) = [place for place in await engine.locations(job["id"]) if place["location"] == name]
        assert place["gap"] == 1


async def test_an_answer_that_never_comes_ends_with_its_deadline(stack: Stack) -> None:
    faults = Faults(rules=(Hang(api="reviews", times=3),))
    async with (
        running_simulator(WORLD, faults) as google,
        running_engine(stack, google.url, deadline=0.3, retry=PATIENT) as engine,
    ):
        job = await engine.fetch()
        assert google.faults.fired["hang"] == 3
        assert job["status"] == "completed"
        assert await engine.reviews(job["id"]) == truth(google)
