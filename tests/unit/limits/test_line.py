"""Replicas that wait for calls of the same budget: who asks at the right moment has no more than the others."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from app.limits.line import Line, Waits, after, part
from app.limits.rules import Limits
from app.limits.windows import BudgetState, Grant, take

START = 1_700_000_000.0
LIMITS = Limits(bucket_capacity=100, refill_rate=20.0)


def _line(**waits: int) -> Line:
    line: Line = ()
    for holder, calls in waits.items():
        line = after(line, holder, 0, Waits(calls, START + 1), START)
    return line


def _asked(moments: dict[str, float], seconds: float, wanted: int = 40) -> Counter[str]:
    """What each replica was given that asks whenever it was told to, beginning at its own moment."""
    due, state, got = dict(moments), BudgetState(), Counter[str]()
    while (now := min(due.values())) < START + seconds:
        holder = min(due, key=due.__getitem__)
        state, answer = take(state, LIMITS, now, wanted, holder)
        wait = answer.then if isinstance(answer, Grant) else answer
        got[holder] += answer.share.count if isinstance(answer, Grant) else 0
        due[holder] = max(wait.until if wait else now, now + 0.001)
    return got


def test_who_asks_just_behind_another_gets_as_much() -> None:
    """Both come back as long after as they were told: without a line the first takes all, over and over."""
    got = _asked({"first": START, "behind": START + 0.01}, 60)
    assert got.total() > 1_200
    assert got["behind"] > 0.45 * got.total()


def test_those_before_have_what_they_wait_for_and_the_rest_is_anybodys() -> None:
    line = _line(a=5, b=3)
    assert [part(line, holder, 10, START) for holder in ("a", "b", "c")] == [7, 5, 2]
    assert [part(line, holder, 4, START) for holder in ("a", "b", "c")] == [4, 0, 0]
    assert part((), "c", 4, START) == 4


def test_a_place_is_kept_until_what_was_waited_for_is_there_and_then_is_the_last() -> None:
    line = after(_line(a=5, b=3), "a", 2, Waits(9, START + 1), START)
    assert [(place.holder, place.calls) for place in line] == [("a", 3), ("b", 3)]
    line = after(line, "a", 3, Waits(9, START + 1), START)
    assert [(place.holder, place.calls) for place in line] == [("b", 3), ("a", 9)]
    assert [place.holder for place in after(line, "b", 3, None, START)] == ["a"]


def test_who_does_not_come_back_holds_nobody_up() -> None:
    line = _line(dead=100, alive=5)
    assert part(line, "alive", 5, START + 1.2) == 0
    assert part(line, "alive", 5, START + 1.6) == 5


def test_who_is_told_to_wait_longer_than_workers_do_has_no_place() -> None:
    assert not after((), "a", 0, Waits(5, START + 3), START)


def test_a_clock_that_was_set_back_holds_nobody_up() -> None:
    assert part(_line(a=100), "b", 5, START - 3_600) == 5


@given(st.dictionaries(st.sampled_from("abcde"), st.integers(1, 50), min_size=1), st.integers(0, 100))
def test_what_is_free_is_enough_for_all_parts_of_those_who_wait(waits: dict[str, int], free: int) -> None:
    line = _line(**waits)
    parts = {holder: min(calls, part(line, holder, free, START)) for holder, calls in waits.items()}
    assert sum(parts.values()) == min(free, sum(waits.values()))
