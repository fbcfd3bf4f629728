"""A world is a pure function of its settings, and its truth adds up."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.simulator import Catalogue
from app.simulator.numbers import NumericIds, ReviewIds


def test_the_same_settings_give_the_same_world() -> None:
    first, second = Catalogue(seed=3, spread=0.5), Catalogue(seed=3, spread=0.5)
    [account] = first.account_names()
    assert list(first.location_names(account)) == list(second.location_names(account))
    location = next(first.location_names(account))
    assert list(first.review_ids(location)) == list(second.review_ids(location))


def test_another_seed_gives_other_ids() -> None:
    assert set(Catalogue(seed=1).distinct_location_names()).isdisjoint(Catalogue(seed=2).distinct_location_names())


def test_every_account_lists_the_same_number_of_locations_and_repeats_the_shared_ones() -> None:
    catalogue = Catalogue(accounts=3, locations=5, shared_locations=2)
    lists = [list(catalogue.location_names(account)) for account in catalogue.account_names()]
    assert [len(names) for names in lists] == [5, 5, 5]
    assert set(lists[0]) & set(lists[1]) == set(lists[0]) & set(lists[2]) == set(lists[0][:2])
    assert len({name for names in lists for name in names}) == catalogue.distinct_locations == 11


def test_an_account_has_access_to_exactly_what_it_lists() -> None:
    catalogue = Catalogue(accounts=3, locations=4, shared_locations=1)
    for account in range(3):
        listed = {catalogue.location_at(account, at) for at in range(4)}
        assert listed == {number for number in range(catalogue.distinct_locations) if catalogue.lists(account, number)}


def test_sizes_are_exact_without_spread_and_add_up_with_it() -> None:
    assert {Catalogue(reviews=7).size(number) for number in range(10)} == {7}
    spread = Catalogue(locations=2000, reviews=100, spread=1.0)
    sizes = [spread.size(number) for number in range(2000)]
    assert spread.total_reviews() == sum(sizes)
    assert 0 in sizes
    assert max(sizes) <= 200
    assert 80 < sum(sizes) / 2000 < 100  # the mean, less the tenth that is empty


def test_shares_of_unverified_and_empty_locations_are_exact() -> None:
    catalogue = Catalogue(locations=100, unverified=0.2, empty=0.1)
    verified = list(catalogue.verified_location_names())
    assert len(verified) == 80
    unverified = set(catalogue.distinct_location_names()) - set(verified)
    assert {catalogue.review_count(name) for name in unverified} == {0}
    assert sum(catalogue.size(number) == 0 for number in range(100)) == 20 + 8


def test_a_world_of_ten_million_locations_costs_no_memory() -> None:
    tracemalloc.start()
    catalogue = Catalogue(accounts=1000, locations=10_000, reviews=1_000_000)
    account = catalogue.account_name(999)
    names = catalogue.location_names(account)
    ids = catalogue.review_ids(next(names))
    next(ids)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert catalogue.total_reviews() == 10**13
    assert peak < 1_000_000


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Catalogue(accounts=-1)
    with pytest.raises(ValueError, match="from 0 to 1"):
        Catalogue(unverified=1.5)


def test_a_name_of_another_world_is_unknown() -> None:
    with pytest.raises(KeyError, match="not in this catalogue"):
        Catalogue(seed=1).review_count(Catalogue(seed=2).location_name(0))


@given(st.integers(0, 10**12), st.integers(0, 2**64 - 1))
def test_numeric_ids_can_be_turned_back(number: int, salt: int) -> None:
    ids = NumericIds(salt)
    assert ids.decode(ids.encode(number)) == number
    assert len(ids.encode(number)) <= 21


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 2**64 - 1))
def test_review_ids_can_be_turned_back(location: int, review: int, salt: int) -> None:
    ids = ReviewIds(salt)
    assert ids.decode(ids.encode(location, review).decode()) == (location, review)


@given(st.text(max_size=40))
def test_any_text_is_no_id_or_a_harmless_number(text: str) -> None:
    catalogue = Catalogue()
    assert catalogue.location_number(text) in (None, *range(10))
    catalogue.review_id_codec.decode(text)
