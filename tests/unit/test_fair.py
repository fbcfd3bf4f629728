"""Turns by weight, in the three places where tenants meet: released tasks, free workers, calls."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.fair import MOST_NAMES, FairTurns
from app.store.shares import Claim, divide


def _served(turns: FairTurns, weights: dict[str, int], times: int) -> Counter[str]:
    served = Counter[str]()
    for _ in range(times):
        name = turns.first(weights.keys())
        turns.used(name, 1.0, weights[name])
        served[name] += 1
    return served


def test_turns_are_shared_by_weight() -> None:
    turns, weights = FairTurns(), {"a": 3, "b": 1}
    for name in weights:
        turns.joins(name)
    assert _served(turns, weights, 400) == {"a": 300, "b": 100}


def test_who_wanted_nothing_has_saved_nothing() -> None:
    turns = FairTurns()
    turns.joins("busy")
    _served(turns, {"busy": 1}, 1000)
    turns.joins("late")
    assert _served(turns, {"busy": 1, "late": 1}, 10) == {"busy": 5, "late": 5}


def test_who_leaves_takes_its_debt_along() -> None:
    turns = FairTurns()
    for name in ("a", "b"):
        turns.joins(name)
    turns.used("a", 4.0, 1)
    _served(turns, {"b": 1}, 1)
    turns.joins("a")
    assert _served(turns, {"a": 1, "b": 1}, 3) == {"b": 3}


def test_nobody_waits_for_more_than_the_debt() -> None:
    turns = FairTurns(debt=3.0)
    for name in ("a", "b"):
        turns.joins(name)
    turns.used("a", 1000.0, 1)
    assert _served(turns, {"a": 1, "b": 1}, 9) == {"b": 6, "a": 3}


def test_who_comes_begins_where_those_are_now_who_were_here() -> None:
    turns = FairTurns()
    turns.joins("busy")
    turns.used("busy", 50.0, 1)
    turns.joins("late", beside=["busy"])
    assert _served(turns, {"busy": 1, "late": 1}, 10) == {"busy": 5, "late": 5}


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 50), min_size=1))
def test_however_the_weights_differ_everyone_is_served(weights: dict[str, int]) -> None:
    turns = FairTurns()
    for name in weights:
        turns.joins(name)
    served = _served(turns, weights, sum(weights.values()) + len(weights))
    assert all(served[name] >= 1 for name in weights)
    assert all(abs(served[name] - weight) <= len(weights) for name, weight in weights.items())


def test_tenants_that_come_and_go_are_forgotten() -> None:
    turns = FairTurns()
    for number in range(3 * MOST_NAMES):
        turns.joins(f"tenant-{number}")
        _served(turns, {f"tenant-{number}": 1}, 2)
    assert len(turns._used) <= MOST_NAMES + 1


CLAIMS = st.builds(Claim, st.integers(1, 1000), st.integers(0, 9), st.integers(9, 20))


def _divided(room: int, claims: dict[str, Claim]) -> dict[str, int]:
    return divide(claims, room, sum(claim.weight for claim in claims.values()) / len(claims))


def test_a_window_is_divided_by_weight_and_a_share_stays_free() -> None:
    assert _divided(60, {"a": Claim(1, 0, 0)}) == {"a": 30}
    assert _divided(60, {"a": Claim(1, 0, 0), "b": Claim(1, 0, 0)}) == {"a": 20, "b": 20}
    assert _divided(60, {"a": Claim(3, 0, 0), "b": Claim(1, 0, 0)}) == {"a": 30, "b": 10}


def test_who_has_much_out_waits_for_those_who_have_little() -> None:
    """Released or with workers: both count."""
    assert _divided(10, {"flood": Claim(1, 30, 46), "late": Claim(1, 0, 0)}) == {"late": 5}
    assert _divided(4, {"flood": Claim(1, 0, 16), "late": Claim(1, 0, 0)}) == {"late": 2, "flood": 1}


def test_more_tenants_than_there_is_room_each_get_one_in_their_order() -> None:
    claims = {f"tenant-{number}": Claim(1, 0, 0) for number in range(50)}
    assert _divided(20, claims) == {f"tenant-{number}": 1 for number in range(20)}


@given(st.dictionaries(st.sampled_from("abcdefgh"), CLAIMS, min_size=1), st.integers(0, 200))
def test_no_more_is_divided_than_there_is(claims: dict[str, Claim], room: int) -> None:
    given = _divided(room, claims)
    assert sum(given.values()) <= room
    assert not room or given or all(claim.released for claim in claims.values())
