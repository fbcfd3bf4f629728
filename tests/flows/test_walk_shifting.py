"""Pages shift while they are read: reviews are written, edited and taken back, and pages overlap."""

import pytest

from app.simulator import Catalogue, Faults
from app.simulator.faults import EmptyObject, LoopingPageToken, Mutate, Overlap, RefusedPageToken
from tests.support.engine import pages_read, running_engine, truth, worse
from tests.support.simulator import running_simulator
from tests.support.stack import Stack

WORLD = Catalogue(locations=1, reviews=230)


def exists_throughout(world: Catalogue, deleted: int = 0) -> set[tuple[str, str]]:
    """The reviews of the first location that nobody takes back when the newest `deleted` vanish."""
    name = world.location_name(0)
    return {(name, review_id) for review_id in list(world.review_ids(name))[deleted:]}


@pytest.mark.parametrize("page", [1, 2, 3, 4])
async def test_edited_and_new_reviews_lose_and_double_nothing(faults: Faults, stack: Stack, page: int) -> None:
    """Before the page is read, 60 reviews of the end move to the top and 3 new ones come."""
    faults = worse(faults, Mutate(insert=3, edit=60, after=page, times=1))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        rows = await engine.reviews(job["id"])
        assert google.faults.fired["mutate"] == 1
        assert len(rows) == len(set(rows))
        assert set(rows) >= exists_throughout(WORLD)
        (place,) = await engine.locations(job["id"])
        assert (place["total"], place["gap"]) == (233, None)


@pytest.mark.parametrize("page", [1, 2, 3, 4])
async def test_a_review_that_moved_up_over_a_page_border_is_not_lost(faults: Faults, stack: Stack, page: int) -> None:
    """Before the page is read, the 7 newest reviews vanish: 7 others move to a page that was read already."""
    faults = worse(faults, Mutate(delete=7, after=page, times=1))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        rows = await engine.reviews(job["id"])
        assert google.faults.fired["mutate"] == 1
        assert len(rows) == len(set(rows))
        assert set(rows) >= exists_throughout(WORLD, deleted=7)
        (place,) = await engine.locations(job["id"])
        assert place["gap"] == 223 - len(rows) or place["gap"] is None


async def test_a_location_that_changes_with_every_page_is_left_with_its_gap_told(stack: Stack) -> None:
    faults = Faults(rules=(Mutate(insert=1, edit=9),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        rows = await engine.reviews(job["id"])
        (place,) = await engine.locations(job["id"])
        assert job["status"] == "completed"
        assert len(rows) == len(set(rows)) == place["fetched"]
        assert set(rows) >= exists_throughout(WORLD)
        assert place["total"] - place["fetched"] == (place["gap"] or 0)
        assert len(list(pages_read(google))) <= 12


@pytest.mark.parametrize("page", [1, 2, 3, 4])
async def test_a_list_that_was_cut_short_once_is_read_to_its_end(stack: Stack, page: int) -> None:
    """One `{}` in the place of a later page, which also ends the list."""
    faults = Faults(rules=(EmptyObject(api="reviews", after=page, times=1),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        (place,) = await engine.locations(job["id"])
        assert google.faults.fired["empty_object"] == 1
        assert await engine.reviews(job["id"]) == truth(google)
        assert (job["status"], place["gap"]) == ("completed", None)
        assert google.ledger.calls("reviews") == page + 1 + 5


async def test_a_list_that_is_cut_short_each_time_is_walked_twice_and_its_gap_told(stack: Stack) -> None:
    faults = Faults(
        rules=(
            EmptyObject(api="reviews", after=2, times=1),
            EmptyObject(api="reviews", after=5),
        )
    )
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        (place,) = await engine.locations(job["id"])
        assert (job["status"], place["fetched"], place["gap"]) == ("completed", 100, 130)
        assert google.ledger.calls("reviews") == 3 + 3


@pytest.mark.parametrize("count", [1, 49])
async def test_pages_that_overlap_are_kept_once(stack: Stack, count: int) -> None:
    faults = Faults(rules=(Overlap(api="reviews", count=count, times=4),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        assert await engine.reviews(job["id"]) == truth(google)
        assert job["reviews_duplicates"] == 4 * count
        assert job["status"] == "completed"


async def test_a_page_that_comes_again_under_another_token_is_kept_once(stack: Stack) -> None:
    faults = Faults(rules=(Overlap(api="reviews", count=50, times=3),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        assert await engine.reviews(job["id"]) == truth(google)
        assert job["reviews_duplicates"] == 150


async def test_a_refused_page_token_starts_that_location_again_once(faults: Faults, stack: Stack) -> None:
    world = Catalogue(locations=3, reviews=230)
    name = world.location_name(1)
    faults = worse(faults, RefusedPageToken(api="reviews", path=name, after=2, times=1))
    async with running_simulator(world, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        assert job["status"] == "completed"
        assert await engine.reviews(job["id"]) == truth(google)
        firsts = [path for path, page in pages_read(google) if not page]
        assert sum(name in path for path in firsts) == 2
        assert len(firsts) == 4


async def test_a_page_token_refused_again_leaves_a_gap_that_is_told(stack: Stack) -> None:
    faults = Faults(rules=(RefusedPageToken(api="reviews", after=1),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        (place,) = await engine.locations(job["id"])
        assert job["status"] == "completed"
        assert (place["state"], place["cause"], place["gap"]) == ("done", "page_token_refused", 130)
        assert len(await engine.reviews(job["id"])) == place["fetched"] == 100


async def test_a_page_token_that_leads_to_its_own_page_stops_and_is_told(stack: Stack) -> None:
    faults = Faults(rules=(LoopingPageToken(api="reviews", after=2),))
    async with running_simulator(WORLD, faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        (place,) = await engine.locations(job["id"])
        assert job["status"] == "completed"
        assert (place["cause"], place["gap"]) == ("page_token_loop", 80)
        assert google.ledger.calls("reviews") == 3


async def test_accounts_that_go_in_circles_are_not_taken_for_complete(stack: Stack) -> None:
    faults = Faults(rules=(LoopingPageToken(api="accounts"),))
    async with running_simulator(faults=faults) as google, running_engine(stack, google.url) as engine:
        job = await engine.fetch()
        (letter,) = await engine.dead_letters(job["id"])
        assert (job["status"], letter["cause"]) == ("dlq", "page_token_loop")
