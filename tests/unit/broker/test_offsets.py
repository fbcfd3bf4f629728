"""What a consumer group may commit, whatever the order in which work finishes."""

from hypothesis import given
from hypothesis import strategies as st

from app.broker.offsets import OffsetTracker


def _received(*offsets: int) -> OffsetTracker:
    tracker = OffsetTracker()
    for offset in offsets:
        tracker.received(0, offset)
    return tracker


def test_nothing_is_committed_past_an_unfinished_message() -> None:
    tracker = _received(5, 6, 7)
    tracker.finished(0, 6)
    tracker.finished(0, 7)
    assert tracker.positions() == {0: 5}
    tracker.finished(0, 5)
    assert tracker.positions() == {0: 8}


def test_offsets_may_have_gaps() -> None:
    tracker = _received(5, 9)
    tracker.finished(0, 5)
    assert tracker.positions() == {0: 9}


def test_partitions_do_not_hold_each_other_back() -> None:
    tracker = _received(5)
    tracker.received(1, 100)
    tracker.finished(1, 100)
    assert tracker.positions() == {0: 5, 1: 101}


def test_finishing_twice_counts_once() -> None:
    tracker = _received(5, 6)
    tracker.finished(0, 6)
    tracker.finished(0, 6)
    assert tracker.positions() == {0: 5}


def test_work_of_a_partition_that_was_taken_away_commits_nothing() -> None:
    tracker = _received(5)
    tracker.drop(0)
    tracker.finished(0, 5)
    assert tracker.positions() == {}


def test_a_partition_that_comes_back_is_counted_anew() -> None:
    tracker = _received(5, 6)
    tracker.finished(0, 5)
    tracker.drop(0)
    tracker.received(0, 5)
    assert tracker.positions() == {0: 5}


def test_a_partition_that_was_set_back_is_counted_anew() -> None:
    tracker = _received(5, 6)
    tracker.finished(0, 5)
    tracker.finished(0, 6)
    tracker.received(0, 2)
    assert tracker.positions() == {0: 2}


@given(st.sets(st.integers(0, 200), min_size=1), st.data())
def test_the_position_is_the_lowest_unfinished_offset(offsets: set[int], data: st.DataObject) -> None:
    tracker = _received(*sorted(offsets))
    unfinished = set(offsets)
    for offset in data.draw(st.lists(st.sampled_from(sorted(offsets)))):
        tracker.finished(0, offset)
        unfinished.discard(offset)
        assert tracker.positions() == {0: min(unfinished, default=max(offsets) + 1)}
