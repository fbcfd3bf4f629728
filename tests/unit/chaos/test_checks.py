"""Each check of the chaos program can fail: what is wrong is told, and what is right is not."""

from typing import Any

import pytest

from chaos.checks import (
    Sample,
    bucket_overshoot,
    compare,
    follow_up,
    merged,
    most_within,
    percentile,
    progress,
    shared,
    stalls,
    unexplained,
    wasted_calls,
    worst_stall,
)

A, B, C = ("locations/1", "a"), ("locations/1", "b"), ("locations/2", "a")


def test_what_is_all_there_once_is_neither_lost_nor_doubled() -> None:
    assert compare([A, B, C], [C, A, B]) == ([], [])


def test_a_record_that_is_not_found_is_lost() -> None:
    assert compare([A, B, C], [A, B]) == ([C], [])


def test_a_record_is_doubled_once_for_each_time_too_many() -> None:
    assert compare([A, B], [A, B, B, B]) == ([], [B, B])


def test_a_record_that_never_existed_upstream_is_one_too_many() -> None:
    assert compare([A], [A, C]) == ([], [C])


def test_the_same_id_at_another_location_is_another_review() -> None:
    assert compare([A, C], [A, A]) == ([C], [A])


@pytest.mark.parametrize(
    ("stored", "row"),
    [
        ({}, "missing"),
        ({"1": "processing"}, "stuck"),
        ({"1": "needs_token"}, "stuck"),
        ({"1": "dlq"}, "failed"),
        ({"1": "completed", "2": "completed"}, "unasked"),
    ],
)
def test_a_job_that_was_accepted_is_followed_to_its_end(stored: dict[str, str], row: str) -> None:
    found = follow_up(["1"], stored)._asdict()
    assert [name for name, jobs in found.items() if jobs] == [row]


def test_jobs_that_all_completed_leave_nothing_to_tell() -> None:
    assert not any(follow_up(["1", "2"], {"1": "completed", "2": "completed"}))


def call(sequence: int, page: str = "", **other: Any) -> dict[str, Any]:
    """An entry of the ledger; it arrived `sequence` seconds after the start."""
    usual = {"path": "/v4/x", "token": "t", "status": 200, "outcome": "ok", "api": "reviews"}
    return {"sequence": sequence, "time": float(sequence), "page_token": page, **usual, **other}


def test_a_page_that_is_brought_again_is_a_wasted_call() -> None:
    (wasted,) = wasted_calls([call(1), call(2, "p2"), call(3, "p2")])
    assert (wasted.page_token, wasted.first, wasted.again) == ("p2", 2.0, 3.0)


@pytest.mark.parametrize(
    "other",
    [
        {"status": 503},
        {"status": 0},
        {"outcome": "cut"},
        {"outcome": "empty_body"},
        {"token": "another"},
        {"path": "/v4/y"},
        {"api": "tokeninfo"},
    ],
)
def test_a_call_that_brought_nothing_or_something_else_wastes_none(other: dict[str, Any]) -> None:
    assert wasted_calls([call(1, **other), call(2)]) == []


def test_the_ledger_is_read_in_the_order_of_arrival() -> None:
    (wasted,) = wasted_calls([call(5), call(2)])
    assert (wasted.first, wasted.again) == (2.0, 5.0)


def test_a_page_read_again_without_a_death_between_the_calls_has_no_excuse() -> None:
    wasted = wasted_calls([call(1), call(4), call(11, "p"), call(14, "p")])
    assert unexplained(wasted, [2.0]) == [wasted[1]]
    assert unexplained(wasted, [2.0, 12.5]) == []
    assert unexplained(wasted, []) == wasted


def test_one_call_too_many_for_the_bucket_is_an_overshoot() -> None:
    full = [0.0] * 10 + [0.5, 1.0]
    assert bucket_overshoot(full, 10, 2.0) == 0
    assert bucket_overshoot([*full, 1.0], 10, 2.0) == 1
    assert bucket_overshoot([100.0, *full, 100.0], 10, 2.0) == 0


def test_a_window_is_worst_wherever_it_lies() -> None:
    assert most_within([0.0, 59.9, 60.0, 60.1, 119.0], 60.0) == 4
    assert most_within([0.0, 60.0], 60.0) == 1
    assert most_within([], 60.0) == 0


def samples(*reviews: int) -> list[Sample]:
    """One a second, from 0."""
    return [Sample(float(second), 0, count, 1) for second, count in enumerate(reviews)]


def test_a_review_that_reaches_the_reader_late_is_a_stall() -> None:
    stall = worst_stall(stalls(samples(0, 2, 2, 2, 2), [1.5, 9.0]), outages=[])
    assert (stall.settled, stall.received, stall.seconds) == (0.0, 9.0, 9.0)


def test_a_reader_that_keeps_pace_has_no_stall_beyond_the_pause_between_samples() -> None:
    assert worst_stall(stalls(samples(0, 1, 2, 3), [1.0, 2.0, 3.0]), outages=[]).seconds == 1.0


def test_the_seconds_of_a_server_that_was_away_are_no_stall_of_the_publisher() -> None:
    late = list(stalls(samples(0, 2, 2, 2), [1.5, 9.0]))
    assert worst_stall(late, outages=[(0.5, 9.5)]).seconds == 0.5
    assert worst_stall(late, outages=[(8.0, 8.5)]).seconds == 8.5
    assert worst_stall(late, outages=[(9.5, 9.9)]).seconds == 9.0


def test_what_stands_still_long_after_an_outage_is_not_excused_by_it() -> None:
    settled_in_it = list(stalls(samples(0, 0, 0, 1), [60.0]))
    stall = worst_stall(settled_in_it, outages=[(1.0, 20.0)])
    assert (stall.settled, stall.received, stall.seconds) == (2.0, 60.0, 40.0)


def test_outages_at_the_same_time_excuse_it_once() -> None:
    assert merged([(5.0, 9.0), (1.0, 3.0), (2.0, 4.0), (2.5, 2.6)]) == [(1.0, 4.0), (5.0, 9.0)]
    assert shared((0.0, 6.0), merged([(1.0, 3.0), (2.0, 4.0), (5.0, 9.0)])) == 4.0


def test_work_within_a_span_is_what_came_in_it() -> None:
    settled = [Sample(float(second), pages, 0, 1) for second, pages in enumerate([1, 4, 4, 9])]
    assert progress(settled, [0.5, 1.0, 2.0, 3.5], (1.0, 3.0)) == (5, 2)
    assert progress(settled, [0.5], (1.0, 2.0)) == (0, 0)
    assert progress([], [], (1.0, 2.0)) == (0, 0)


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert percentile([], 0.99) == 0.0
