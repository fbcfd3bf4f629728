"""When a job will end, and what that means for its token."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.limits.rules import Limits
from app.models.job import JobStatus
from app.models.views import (
    AccountsProgress,
    Estimate,
    JobView,
    LocationsProgress,
    Progress,
    ReviewsProgress,
    TasksProgress,
    TokenView,
)
from app.results.estimate import DAY, FARTHEST_SECONDS, Budget, Turns, calls_left, forecast, seconds_for, token_warning
from app.store.loads import Load

NOTHING = Load("job-1", None, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0)

NO_LIMITS = Budget(Limits())
FIVE_A_SECOND = Budget(Limits(per_minute=300), {"minute": 0.0})

SMALL = st.integers(0, 1_000)


def alone(load: Load) -> Turns:
    return Turns([calls_left(load) or 0])


def test_nothing_can_be_said_before_a_location_was_begun() -> None:
    assert calls_left(NOTHING) is None
    listed = NOTHING._replace(accounts_found=1, accounts_done=1, locations_found=5)
    assert calls_left(listed) is None
    assert forecast(listed, Turns([]), FIVE_A_SECOND) is None


def test_locations_that_were_not_begun_are_like_those_that_were() -> None:
    """Sixteen of a hundred are being read at once: no reason to take each for sixteen."""
    load = NOTHING._replace(
        accounts_found=1,
        accounts_done=1,
        locations_found=100,
        locations_begun=16,
        reviews_expected=16_000,
        reviews_fetched=800,
    )
    assert calls_left(load) == (16_000 - 800) // 50 + 84 * 20


def test_accounts_that_are_not_listed_are_like_those_that_are() -> None:
    load = NOTHING._replace(
        accounts_found=3,
        accounts_done=1,
        locations_found=10,
        locations_begun=10,
        locations_done=10,
        reviews_expected=1_000,
        reviews_fetched=1_000,
    )
    assert calls_left(load) == 2 + 2 * 10 * 2


def test_reviews_that_google_counts_and_does_not_list_are_no_calls_left() -> None:
    load = NOTHING._replace(
        accounts_found=1, accounts_done=1, locations_found=1, locations_begun=1, locations_done=1, reviews_expected=900
    )
    assert calls_left(load) == 0


def test_unavailable_locations_are_not_waited_for() -> None:
    load = NOTHING._replace(locations_found=4, locations_unavailable=4)
    assert calls_left(load) == 0


@given(st.lists(SMALL, min_size=8, max_size=8))
def test_what_is_left_is_never_negative(counts: list[int]) -> None:
    load = Load._make(("job-1", None, *counts, 0.0, 0))
    left = calls_left(load)
    assert left is None or left >= 0


READING = NOTHING._replace(
    accounts_found=1,
    accounts_done=1,
    locations_found=1,
    locations_begun=1,
    reviews_expected=50_000,
    clocked_seconds=100.0,
    clocked_calls=100,
)
"""A thousand calls to go, one a second so far."""


def test_the_slower_of_quota_and_speed_decides() -> None:
    by_speed = forecast(READING, alone(READING), FIVE_A_SECOND)
    assert by_speed == (1_000.0, 1_000, "speed")
    by_quota = forecast(READING._replace(clocked_calls=10_000), alone(READING), FIVE_A_SECOND)
    assert by_quota == (200.0, 1_000, "quota")


def test_a_job_about_as_fast_as_the_quota_is_held_up_by_the_quota() -> None:
    found = forecast(READING._replace(clocked_calls=480), alone(READING), FIVE_A_SECOND)
    assert found is not None
    assert (round(found.seconds), found.limited_by) == (208, "quota")


def test_without_limits_and_with_few_calls_nothing_can_be_said() -> None:
    assert forecast(READING._replace(clocked_calls=4), alone(READING), NO_LIMITS) is None
    assert forecast(READING, alone(READING), NO_LIMITS) == (1_000.0, 1_000, "speed")


def test_a_closed_budget_is_waited_for_first() -> None:
    budget = Budget(FIVE_A_SECOND.limits, FIVE_A_SECOND.left, closed_for=600.0)
    found = forecast(READING._replace(clocked_calls=10_000), alone(READING), budget)
    assert found is not None
    assert found.seconds == 800.0


def test_an_end_in_the_far_future_is_not_told() -> None:
    budget = Budget(Limits(per_day=1), {"day": 0.0})
    assert seconds_for(1_000_000, budget) > FARTHEST_SECONDS
    load = READING._replace(reviews_expected=50_000_000)
    assert forecast(load, alone(load), budget) is None


@pytest.mark.parametrize(("other", "together"), [(10, 110), (100, 200), (100_000, 200)])
def test_jobs_of_one_project_take_turns(other: int, together: int) -> None:
    assert Turns([100, other]).until(100) == together


@given(st.lists(st.integers(0, 500), min_size=1))
def test_turns_are_the_smaller_of_each_and_ones_own(calls: list[int]) -> None:
    for own in calls:
        assert Turns(calls).until(own) == sum(min(own, other) for other in calls)


def test_the_bucket_gives_at_once_what_it_holds() -> None:
    limits = Limits(bucket_capacity=100, refill_rate=10)
    assert seconds_for(100, Budget(limits)) == 0
    assert seconds_for(150, Budget(limits)) == 5
    assert seconds_for(150, Budget(limits, {"bucket": 0.0})) == 15


def test_what_the_day_does_not_allow_waits_for_the_next_ones() -> None:
    budget = Budget(Limits(per_day=1_000, per_minute=60), {"day": 100.0, "minute": 0.0}, day_ends_in=3_600.0)
    assert seconds_for(100, budget) == 100
    assert seconds_for(101, budget) == 3_600
    assert seconds_for(100 + 1_000, budget) == 3_600 + 1_000
    assert seconds_for(100 + 1_000 + 1, budget) == 3_600 + DAY


@given(
    calls=st.integers(0, 10_000),
    more=st.integers(0, 10_000),
    bucket=st.integers(1, 200),
    minute=st.integers(0, 1_000),
    day=st.integers(0, 3_000),
)
def test_more_calls_never_take_less_time(calls: int, more: int, bucket: int, minute: int, day: int) -> None:
    limits = Limits(bucket_capacity=bucket, refill_rate=1.0, per_minute=minute, per_day=day)
    budget = Budget(limits, {"bucket": 0.0, "minute": 0.0}, day_ends_in=DAY)
    assert 0 <= seconds_for(calls, budget) <= seconds_for(calls + more, budget)


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def job(
    token: TokenView | None, *, ends_at: datetime | None = None, status: JobStatus = JobStatus.PROCESSING
) -> JobView:
    estimate = Estimate(finished_at=ends_at, seconds_left=1, calls_left=1, limited_by="quota") if ends_at else None
    return JobView(
        job_id="job-1",
        status=status,
        message="",
        created_at=NOON,
        updated_at=NOON,
        finished_at=None,
        progress=Progress(
            accounts=AccountsProgress(found=0, done=0),
            locations=LocationsProgress(found=0, done=0, unavailable=0),
            reviews=ReviewsProgress(fetched=0, duplicates=0, expected=0),
            calls=0,
            tasks=TasksProgress(open=0, done=0, dead=0),
        ),
        waiting=None,
        error=None,
        token=token,
        estimate=estimate,
    )


LASTS = TokenView(expires_at=NOON + timedelta(hours=1), seconds_left=3_600)
ENDED = TokenView(expires_at=NOON, seconds_left=0)
LATER = NOON + timedelta(hours=2)


def test_a_token_that_ends_before_its_job_is_warned_of() -> None:
    warning = token_warning(job(LASTS, ends_at=LATER))
    assert warning is not None
    assert "ends at 13:00 UTC" in warning
    assert "until 14:00 UTC" in warning


def test_an_end_on_another_day_is_told_with_its_date() -> None:
    assert "until 2026-01-03 12:00 UTC" in (token_warning(job(LASTS, ends_at=NOON + timedelta(days=2))) or "")


def test_a_token_that_has_ended_is_warned_of_without_an_estimate_too() -> None:
    assert "ended at 12:00 UTC" in (token_warning(job(ENDED)) or "")
    assert "ended at 12:00 UTC" in (token_warning(job(ENDED, status=JobStatus.PAUSED)) or "")


@pytest.mark.parametrize(
    "fine",
    [
        job(None, ends_at=LATER),
        job(LASTS),
        job(LASTS, ends_at=NOON + timedelta(minutes=30)),
        job(TokenView(expires_at=None, refreshable=True), ends_at=LATER),
        job(LASTS.model_copy(update={"refreshable": True}), ends_at=LATER),
        job(ENDED, status=JobStatus.COMPLETED),
    ],
)
def test_there_is_no_warning_where_nothing_is_to_be_done(fine: JobView) -> None:
    assert token_warning(fine) is None
