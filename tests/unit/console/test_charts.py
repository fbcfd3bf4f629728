"""Numbers as shapes."""

import pytest

from app.console.charts import columns, round_above, shares


@pytest.mark.parametrize(
    ("value", "top"), [(0, 10), (9, 10), (10, 10), (11, 15), (100, 100), (101, 150), (24_999, 25_000), (70_001, 80_000)]
)
def test_an_axis_ends_at_a_value_that_reads_well(value: float, top: float) -> None:
    assert round_above(value) == top


def test_columns_stand_on_the_ground_and_reach_their_value() -> None:
    drawn = columns([0, 50, 100])
    assert drawn.top == 100
    assert [(column.x, column.y, column.height) for column in drawn.columns] == [(0, 100, 0), (1, 50, 50), (2, 0, 100)]


def test_columns_laid_over_others_have_their_scale() -> None:
    assert [column.height for column in columns([5], top=50).columns] == [10]


def test_shares_fill_the_whole_and_none_that_there_is_vanishes() -> None:
    found = shares([("completed", 1_000_000), ("failed", 1), ("paused", 0)])
    assert [share.name for share in found] == ["completed", "failed"]
    assert found[1].width > 0.9
    assert found[0].start == 0
    assert sum(share.width for share in found) == pytest.approx(100, abs=0.01)
    assert found[1].start == found[0].width


def test_of_nothing_there_are_no_shares() -> None:
    assert shares([("completed", 0)]) == []
