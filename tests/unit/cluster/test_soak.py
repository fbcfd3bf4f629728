"""What grows is found, what only trembles is not."""

from random import Random

import pytest

from cluster.slopes import Bound, trend
from cluster.soak import Sample, trends_of

FILES = Bound("open files", 10.0)


def test_a_steady_growth_is_found_through_noise() -> None:
    random = Random(1)
    found = trend(FILES, [(10.0 * number, 100 + 0.5 * number + random.uniform(-3, 3)) for number in range(60)])
    assert found.grown == pytest.approx(29.5, abs=2)
    assert not found.kept


def test_outliers_move_nothing() -> None:
    found = trend(FILES, [(10.0 * number, 100.0 + (500 if number % 10 == 9 else 0)) for number in range(60)])
    assert found.grown == pytest.approx(0.0, abs=1)
    assert found.kept


def test_too_few_samples_are_no_proof() -> None:
    with pytest.raises(ValueError, match="open files: 1 samples are not enough"):
        trend(FILES, [(0.0, 1.0)])


def test_the_warm_up_does_not_count() -> None:
    def sample(number: int) -> Sample:
        memory = 50.0 + min(number, 6) * 10
        return {"seconds": 10.0 * number, "replica-1: resident memory": memory, "WAL": 100.0 + 20.0 * number}

    memory, wal = trends_of([sample(number) for number in range(30)], warm_up=60.0)
    assert memory.bound.name == "replica-1: resident memory"
    assert memory.kept
    assert not wal.kept
