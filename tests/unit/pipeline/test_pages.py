"""What a page means for its list: on, to the end, once more, or in circles."""

from typing import Any

import pytest

from app.google.pages import AccountsPage, LocationsPage, ReviewsPage
from app.models.job import LocationState, Stage, TaskStatus
from app.models.review import Account, Location, Review
from app.models.settlement import LocationEnd, Move, Settlement
from app.pipeline import reviews
from app.pipeline.lists import MOST_BARREN_PAGES, MOST_PAGES
from app.pipeline.reviews import SPARE_PAGES, Walk
from tests.support.store import review
from tests.unit.pipeline.stage import held, settlement_of_answer

HELD, DONE, DEAD = TaskStatus.HELD, TaskStatus.DONE, TaskStatus.DEAD
FOUND = LocationEnd(LocationState.DONE)


def page(count: int = 50, *, total: int | None = 120, then: str | None = None) -> ReviewsPage:
    return ReviewsPage([review(f"r{number}") for number in range(count)], total, 4.5, then)


async def read(answer: Any, stage: Stage = Stage.REVIEWS, **situation: Any) -> Settlement:
    return await settlement_of_answer(held(stage, **situation), answer)


def end_of(settlement: Settlement, new: int) -> tuple[Move, LocationEnd | None]:
    """Where the task goes once `new` of the page's reviews turned out to be new."""
    if settlement.again is None:
        return settlement.move, settlement.location_end
    return settlement.again(new)


LISTS = [
    (Stage.ACCOUNTS, AccountsPage([Account("accounts/1", "One")], None)),
    (Stage.LOCATIONS, LocationsPage([Location("locations/1", "Shop", None, None, True)], None)),
]


@pytest.mark.parametrize(("stage", "last"), LISTS)
async def test_a_list_goes_on_to_its_last_page(stage: Stage, last: Any) -> None:
    middle = await read(last._replace(next_page_token="p3"), stage, cursor="p2", pages=1, restarts=1)
    assert middle.move == Move(HELD, "p3", pages=2, restarts=1)
    assert (await read(last, stage, cursor="p3", pages=2)).move == Move(DONE, pages=3)
    assert middle.accounts or middle.locations
    assert middle.page


@pytest.mark.parametrize(("stage", "last"), LISTS)
@pytest.mark.parametrize("situation", [{"cursor": "p2"}, {"cursor": "p1", "pages": MOST_PAGES}])
async def test_a_list_that_goes_in_circles_is_dead_and_not_complete(
    stage: Stage, last: Any, situation: dict[str, Any]
) -> None:
    settlement = await read(last._replace(next_page_token="p2"), stage, **situation)
    assert settlement.move.status is DEAD
    assert settlement.move.error is not None
    assert settlement.move.error.type == "page_token_loop"
    assert settlement.accounts or settlement.locations, "what the page holds is walked"
    assert settlement.page


@pytest.mark.parametrize(("stage", "last"), LISTS)
async def test_pages_without_anything_new_are_read_for_a_while_and_not_for_ever(stage: Stage, last: Any) -> None:
    """Empty ones, or a circle of more than one page: each has another page token."""
    page = last._replace(next_page_token="p9")
    first = await read(page, stage, cursor="p8", pages=8)
    assert [end_of(first, new)[0].walk for new in (0, 1)] == [1, 0]
    almost = await read(page, stage, cursor="p8", pages=300, walk=MOST_BARREN_PAGES - 1)
    assert end_of(almost, 0)[0] == Move(HELD, "p9", walk=MOST_BARREN_PAGES, pages=301)
    over = await read(page, stage, cursor="p8", pages=300, walk=MOST_BARREN_PAGES)
    assert end_of(over, 1)[0] == Move(HELD, "p9", pages=301)
    dead, _ = end_of(over, 0)
    assert (dead.status, dead.cursor, dead.error and dead.error.type) == (DEAD, "p8", "page_token_loop")


@pytest.mark.parametrize(("stage", "last"), LISTS)
async def test_a_list_that_started_again_may_repeat_what_is_known(stage: Stage, last: Any) -> None:
    page = last._replace(next_page_token="p9")
    again = await read(page, stage, cursor="p8", pages=8, restarts=1, walk=-300)
    assert [end_of(again, new)[0].walk for new in (0, 1)] == [-299, -300]


@pytest.mark.parametrize(("stage", "last"), LISTS)
async def test_the_last_page_may_hold_nothing_new(stage: Stage, last: Any) -> None:
    settlement = await read(last, stage, cursor="p8", pages=8, walk=MOST_BARREN_PAGES)
    assert end_of(settlement, 0)[0] == Move(DONE, pages=9)


@pytest.mark.parametrize(("stage", "last"), LISTS)
async def test_items_that_nobody_can_name_are_told_and_the_others_are_walked(stage: Stage, last: Any) -> None:
    settlement = await read(last._replace(odd=2, next_page_token="p2"), stage, pages=3)
    (item,) = settlement.given_up
    assert (item.kind, item.cause) == ("item", "unknown_shape")
    assert item.resource.endswith(", page 4")
    assert item.detail.startswith("2 items")
    assert (settlement.move.status, settlement.move.cursor) == (HELD, "p2")
    assert settlement.accounts or settlement.locations


async def test_reviews_go_on_with_the_next_page() -> None:
    settlement = await read(page(then="p2"), pages=0)
    assert (settlement.move, settlement.location_end, settlement.again) == (Move(HELD, "p2", pages=1), None, None)
    assert (settlement.total, settlement.average, len(settlement.reviews)) == (120, 4.5, 50)


async def test_a_location_whose_rows_are_googles_total_is_done() -> None:
    settlement = await read(page(20), cursor="p3", location_fetched=100, location_total=120)
    assert end_of(settlement, 20) == (Move(DONE), FOUND)


@pytest.mark.parametrize("new", [19, 21])
async def test_a_location_whose_rows_are_not_googles_total_is_looked_at_again(new: int) -> None:
    settlement = await read(page(20), cursor="p3", location_fetched=100, location_total=120, restarts=1)
    assert end_of(settlement, new) == (Move(HELD, walk=Walk.UNTIL_KNOWN, restarts=1), None)


@pytest.mark.parametrize(
    ("missing", "walk"),
    [(49, Walk.UNTIL_KNOWN), (50, Walk.WHOLE), (500, Walk.WHOLE), (-50, Walk.UNTIL_KNOWN)],
)
async def test_a_list_that_ended_a_page_early_is_walked_whole_once_more(missing: int, walk: Walk) -> None:
    """Its first pages are known: a look that ends with them would never come to those that are missing."""
    total = 150 + missing
    settlement = await read(page(total=total), cursor="p3", location_fetched=100, location_total=total, restarts=1)
    assert end_of(settlement, 50) == (Move(HELD, walk=walk, restarts=1), None)


async def test_a_last_page_that_says_nothing_ended_the_list_early() -> None:
    """A later page of `{}`, where a short page should be: neither reviews nor the total that is not 0."""
    silent = await read(page(0, total=None), cursor="p3", location_fetched=100, location_total=120)
    assert end_of(silent, 0) == (Move(HELD, walk=Walk.WHOLE), None)
    empty = await read(page(0, total=102), cursor="p3", location_fetched=100, location_total=102)
    assert end_of(empty, 0) == (Move(HELD, walk=Walk.UNTIL_KNOWN), None)


@pytest.mark.parametrize("walk", [Walk.UNTIL_KNOWN, Walk.WHOLE])
async def test_a_second_look_that_ends_early_is_not_followed_by_a_third(walk: Walk) -> None:
    settlement = await read(page(total=500), walk=walk, cursor="p3", location_fetched=100, location_total=500)
    assert end_of(settlement, 50) == (Move(DONE), FOUND)


async def test_without_a_total_there_is_nothing_to_compare() -> None:
    settlement = await read(page(20, total=None), cursor="p3", location_fetched=100)
    assert end_of(settlement, 3) == (Move(DONE), FOUND)


async def test_the_second_look_ends_with_a_page_that_holds_nothing_new() -> None:
    settlement = await read(page(50, then="p2"), walk=Walk.UNTIL_KNOWN, location_fetched=119, location_total=120)
    assert end_of(settlement, 1) == (Move(HELD, "p2", walk=Walk.UNTIL_KNOWN, pages=1), None)
    assert end_of(settlement, 0) == (Move(DONE), FOUND)


async def test_a_location_is_looked_at_twice_at_most() -> None:
    settlement = await read(page(20), walk=Walk.UNTIL_KNOWN, cursor="p3", location_fetched=90, location_total=120)
    assert end_of(settlement, 5) == (Move(DONE), FOUND)


async def test_a_total_that_falls_between_pages_asks_for_a_whole_second_look() -> None:
    """Seven reviews were taken back, and seven others moved up to a page that was passed: rows and total agree."""
    fell = await read(page(50, total=113, then="p3"), cursor="p2", pages=1, location_fetched=50, location_total=120)
    assert fell.move == Move(HELD, "p3", walk=Walk.SHRUNK, pages=2)
    last = await read(page(13, total=113), cursor="p3", walk=Walk.SHRUNK, location_fetched=100, location_total=113)
    assert end_of(last, 13) == (Move(HELD, walk=Walk.WHOLE), None)
    known = await read(page(50, total=113, then="p2"), walk=Walk.WHOLE, location_fetched=113, location_total=113)
    assert end_of(known, 0) == (Move(HELD, "p2", walk=Walk.WHOLE, pages=1), None)
    end = await read(page(13, total=113), walk=Walk.WHOLE, cursor="p3", location_fetched=120, location_total=113)
    assert end_of(end, 0) == (Move(DONE), FOUND)


async def test_a_total_that_falls_with_the_last_page_is_noticed() -> None:
    last = await read(page(13, total=113), cursor="p3", location_fetched=100, location_total=120)
    assert end_of(last, 13) == (Move(HELD, walk=Walk.WHOLE), None)


async def test_a_total_that_fell_before_the_first_page_moved_nothing_over_a_border() -> None:
    settlement = await read(page(50, total=113, then="p2"), location_total=120)
    assert settlement.move.walk == Walk.FIRST


@pytest.mark.parametrize("situation", [{"cursor": "p2"}, {"cursor": "p1", "pages": 2 * 2 + SPARE_PAGES + 1}])
@pytest.mark.parametrize("walk", Walk)
async def test_reviews_that_go_in_circles_stop_and_say_so(situation: dict[str, Any], walk: Walk) -> None:
    settlement = await read(page(then="p2"), walk=walk, **situation)
    assert end_of(settlement, 50) == (Move(DONE), LocationEnd(LocationState.DONE, "page_token_loop"))


LARGEST = 2**31 - 1


@pytest.mark.parametrize(
    ("situation", "ends"),
    [
        ({"pages": SPARE_PAGES + 50, "location_fetched": 50}, False),
        ({"pages": SPARE_PAGES + 51, "location_fetched": 50}, True),
        ({"pages": reviews.MOST_PAGES, "location_fetched": 50 * reviews.MOST_PAGES}, False),
        ({"pages": reviews.MOST_PAGES + 1, "location_fetched": 50 * reviews.MOST_PAGES + 50}, True),
    ],
    ids=["some new", "too few new", "many", "too many"],
)
async def test_a_total_that_is_made_up_keeps_no_location_going_for_ever(situation: dict[str, Any], ends: bool) -> None:
    settlement = await read(page(total=LARGEST, then="p9"), cursor="p8", location_total=LARGEST, **situation)
    stopped = (Move(DONE), LocationEnd(LocationState.DONE, "page_token_loop"))
    assert (end_of(settlement, 50) == stopped) is ends


@pytest.mark.parametrize(
    ("verified", "end"),
    [
        (False, LocationEnd(LocationState.UNAVAILABLE, "not_verified")),
        (None, FOUND),
        (True, FOUND),
    ],
)
async def test_no_reviews_at_all_mean_unavailable_only_without_voice_of_merchant(
    verified: bool | None, end: LocationEnd
) -> None:
    settlement = await read(ReviewsPage([], 0, None, None), location_verified=verified)
    assert end_of(settlement, 0) == (Move(DONE), end)


async def test_a_review_that_is_too_large_is_set_apart_and_the_page_goes_on() -> None:
    large: Review = review("large")._replace(raw=b" " * 900_001)
    just = review("just")._replace(raw=b" " * 900_000)
    settlement = await read(ReviewsPage([review("a"), large, just], 3, 4.0, "p2"))
    assert [item.review_id for item in settlement.reviews] == ["a", "just"]
    assert [item.resource for item in settlement.given_up] == [f"locations/1/reviews/{large.review_id}"]
    assert settlement.move.status is HELD
