"""Backoff: exponential, capped, jittered, whatever the attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.retry.policy import ExponentialBackoffPolicy


def without_jitter() -> float:
    return 0.0


def test_the_backoff_doubles_from_the_first_wait_up_to_the_cap() -> None:
    policy = ExponentialBackoffPolicy(random=without_jitter)
    assert [policy.get_backoff_ms(attempt) for attempt in range(9)] == [
        100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000,
    ]  # fmt: skip


def test_the_jitter_adds_up_to_a_tenth() -> None:
    policy = ExponentialBackoffPolicy(initial_ms=1000, random=lambda: 0.5)
    assert policy.get_backoff_ms(0) == 1050


def test_the_jitter_never_exceeds_the_cap() -> None:
    assert ExponentialBackoffPolicy(random=lambda: 0.999).get_backoff_ms(7) == 10_000


def test_an_absurd_attempt_waits_for_the_cap() -> None:
    assert ExponentialBackoffPolicy(random=without_jitter).get_backoff_ms(10_000) == 10_000


@given(
    initial=st.integers(1, 10_000),
    multiplier=st.floats(1, 100),
    extra=st.integers(0, 100_000),
    attempt=st.integers(0, 20_000),
    random=st.floats(0, 1, exclude_max=True),
)
def test_every_backoff_lies_between_the_first_wait_and_the_cap(
    initial: int, multiplier: float, extra: int, attempt: int, random: float
) -> None:
    policy = ExponentialBackoffPolicy(initial, multiplier, initial + extra, random=lambda: random)
    assert initial <= policy.get_backoff_ms(attempt) <= initial + extra


@given(attempt=st.integers(0, 100))
def test_a_later_attempt_never_waits_less(attempt: int) -> None:
    policy = ExponentialBackoffPolicy(random=without_jitter)
    assert policy.get_backoff_ms(attempt) <= policy.get_backoff_ms(attempt + 1)


def test_three_retries_follow_the_first_failure() -> None:
    policy = ExponentialBackoffPolicy(max_retries=3)
    assert [policy.should_retry(attempt) for attempt in range(5)] == [True, True, True, False, False]


def test_no_retries_means_none() -> None:
    assert not ExponentialBackoffPolicy(max_retries=0).should_retry(0)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"initial_ms": 0}, "initial_ms"),
        ({"multiplier": 0.5}, "multiplier"),
        ({"multiplier": float("nan")}, "multiplier"),
        ({"max_ms": 50}, "max_ms"),
        ({"max_retries": -1}, "max_retries"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(settings: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ExponentialBackoffPolicy(**settings)  # type: ignore[arg-type]  # wrong values are the point


def test_a_negative_attempt_is_refused() -> None:
    with pytest.raises(ValueError, match="attempt"):
        ExponentialBackoffPolicy().get_backoff_ms(-1)
