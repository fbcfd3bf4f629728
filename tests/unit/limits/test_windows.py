"""Shares of a budget, in plain time: several holders, one of them dead, judged by when calls were made."""

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.limits.rules import Limits
from app.limits.windows import (
    BudgetState,
    Grant,
    Refusal,
    Share,
    close,
    decode,
    encode,
    give_back,
    take,
    told,
)
from tests.unit.limits.ledger import assert_kept

START = 1_700_000_000.0
DEFAULTS = Limits(bucket_capacity=100, refill_rate=10.0, per_minute=300)


def granted(answer: Grant | Refusal) -> Share:
    assert isinstance(answer, Grant), answer
    return answer.share


def refused(answer: Grant | Refusal) -> Refusal:
    assert isinstance(answer, Refusal), answer
    return answer


def drained(limits: Limits, now: float, holder: str = "a") -> tuple[BudgetState, int]:
    """A budget from which everything was taken and used at `now`."""
    state, taken = BudgetState(), 0
    while True:
        state, answer = take(state, limits, now, 1000, holder)
        if isinstance(answer, Refusal):
            return state, taken
        state = give_back(state, limits, answer.share.number, 0, now)
        taken += answer.share.count


def test_a_share_holds_two_seconds_of_calls_at_most() -> None:
    _, answer = take(BudgetState(), Limits(bucket_capacity=100, refill_rate=10.0), START, 1000, "a")
    assert granted(answer).count == 20
    assert granted(answer).expires_at - START <= 2


def test_a_fresh_bucket_gives_its_capacity_and_then_says_when_there_is_more() -> None:
    limits = Limits(bucket_capacity=5, refill_rate=5.0)
    state, taken = drained(limits, START)
    assert taken == 5
    wait = refused(take(state, limits, START, 1, "a")[1])
    assert wait.wait_seconds == pytest.approx(0.2 + limits.bucket_transit)
    assert wait.until == START + wait.wait_seconds
    assert "bucket of 5 calls" in wait.reason
    assert granted(take(state, limits, wait.until + 1e-6, 1, "a")[1]).count == 1


def test_calls_on_loan_are_not_refilled() -> None:
    limits = Limits(bucket_capacity=10, refill_rate=100.0)
    state, answer = take(BudgetState(), limits, START, 10, "a")
    assert granted(answer).count == 10
    almost = granted(answer).expires_at - 0.001
    assert isinstance(take(state, limits, almost, 1, "b")[1], Refusal)


def test_what_a_living_holder_returns_is_given_out_again() -> None:
    limits = Limits(bucket_capacity=10, refill_rate=5.0, per_minute=600, per_day=1000)
    state, answer = take(BudgetState(), limits, START, 10, "a")
    share = granted(answer)
    state = give_back(state, limits, share.number, share.count, START)
    assert state.day_count == 0
    assert state.minute == ()
    assert state.level.taken == 0
    assert granted(take(state, limits, START + 0.1, 1, "b")[1]).count == 1


def test_a_dead_holders_share_is_not_given_out_again_within_the_minute() -> None:
    limits = Limits(per_minute=60)
    state, answer = take(BudgetState(), limits, START, 2, "dead")
    share = granted(answer)
    for later in (0.0, 10.0, 30.0, share.expires_at - START + 59.9):
        others = 0
        probe = state
        while isinstance((step := take(probe, limits, START + later, 60, "b"))[1], Grant):
            probe = give_back(step[0], limits, step[1].share.number, 0, START + later)
            others += step[1].share.count
        assert others == 58
    state, answer = take(state, limits, share.expires_at + 61, 60, "b")
    assert isinstance(answer, Grant)


def test_a_report_after_the_share_settled_refunds_nothing() -> None:
    limits = Limits(per_minute=60)
    state, answer = take(BudgetState(), limits, START, 2, "slow")
    share = granted(answer)
    state, _ = take(state, limits, share.settles_at, 1, "b")
    assert give_back(state, limits, share.number, 2, START) == state


def test_the_minute_window_slides() -> None:
    limits = Limits(per_minute=300)
    state, taken = drained(limits, START)
    assert taken == 300
    wait = refused(take(state, limits, START + 20, 1, "a")[1])
    assert 40 < wait.wait_seconds < 41
    assert "300 calls of this minute" in wait.reason
    assert isinstance(take(state, limits, START + 60, 1, "a")[1], Refusal)
    assert granted(take(state, limits, wait.until, 1, "a")[1]).count == 1


def test_a_full_minute_window_stays_small_in_the_store() -> None:
    limits = Limits(bucket_capacity=1000, refill_rate=1000.0, per_minute=60_000)
    state = BudgetState()
    for step in range(3000):
        now = START + step * 0.05
        state, answer = take(state, limits, now, 10, "a")
        state = give_back(state, limits, granted(answer).number, 0, now)
    assert len(state.minute) <= 125
    assert len(encode(state)) < 4000


@pytest.mark.parametrize(
    ("noon", "hours"),
    [
        (datetime(2026, 3, 8, 20, tzinfo=UTC), 11),  # clocks went forward that night: a day of 23 hours
        (datetime(2026, 11, 1, 20, tzinfo=UTC), 12),  # and back: 25 hours
        (datetime(2026, 6, 1, 19, tzinfo=UTC), 12),
    ],
)
def test_the_day_ends_at_midnight_pacific_also_when_the_clocks_change(noon: datetime, hours: int) -> None:
    limits = Limits(per_day=5)
    state, taken = drained(limits, noon.timestamp())
    assert taken == 5
    wait = refused(take(state, limits, noon.timestamp(), 1, "a")[1])
    assert wait.wait_seconds == hours * 3600
    assert isinstance(take(state, limits, wait.until - 1, 1, "a")[1], Refusal)
    assert granted(take(state, limits, wait.until, 1, "a")[1]).count == 1


@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 8), 23), ((2026, 11, 1), 25), ((2026, 6, 1), 24)])
def test_days_have_as_many_hours_as_the_zone_says(day: tuple[int, int, int], hours: int) -> None:
    limits = Limits(per_day=1)
    begin = limits.end_of_day(datetime(*day, 2, tzinfo=UTC).timestamp())  # 2:00 UTC is the evening before
    assert limits.end_of_day(begin) - begin == hours * 3600


def test_a_share_never_crosses_midnight() -> None:
    limits = Limits(per_day=1000)
    midnight = limits.end_of_day(START)
    _, answer = take(BudgetState(), limits, midnight - 1, 5, "a")
    assert granted(answer).expires_at < midnight
    wait = refused(take(BudgetState(), limits, midnight - 0.2, 5, "a")[1])
    assert wait.until == midnight


def test_the_reserve_is_left_to_others() -> None:
    limits = Limits(bucket_capacity=100, refill_rate=10, per_minute=50, per_day=1000, reserve_percent=20)
    assert (limits.capacity, limits.rate, limits.minute, limits.day) == (80, 8, 40, 800)
    assert drained(limits, START)[1] == 40


@pytest.mark.parametrize(
    ("capacity", "rate", "seconds"),
    [(0, 0.0, 0.25), (100, 10.0, 0.25), (26, 10.0, 0.25), (11, 10.0, 0.1), (5, 5.0, 0.08), (1, 2.0, 0.01)],
)
def test_a_bucket_allows_a_call_the_time_that_it_can_afford(capacity: float, rate: float, seconds: float) -> None:
    assert Limits(bucket_capacity=capacity, refill_rate=rate).bucket_transit == pytest.approx(seconds)


def test_a_database_clock_set_back_neither_refills_nor_blocks_for_long() -> None:
    limits = Limits(bucket_capacity=10, refill_rate=1.0, per_minute=60)
    state, _ = drained(limits, START)
    earlier = START - 7200
    state, answer = take(state, limits, earlier, 1, "a")
    assert isinstance(answer, Refusal)
    assert answer.wait_seconds < 70
    state, answer = take(state, limits, earlier + 70, 1, "a")
    assert isinstance(answer, Grant)


def test_the_state_survives_the_store() -> None:
    state, _ = drained(DEFAULTS, START)
    state, _ = take(close(state, START, START, 5.0, lambda: 0.5), DEFAULTS, START + 9, 3, "a")
    state, _ = take(told(state, {"tenant": 1.5}, START + 9), DEFAULTS, START + 9, 3, "b")
    assert state.line
    assert state.served
    assert decode(encode(state)) == state
    assert decode(None) == BudgetState()


def test_a_state_of_a_newer_release_is_refused_not_guessed() -> None:
    with pytest.raises(ValueError, match="version 2"):
        decode(encode(BudgetState(version=2)))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"bucket_capacity": -1}, "bucket_capacity"),
        ({"bucket_capacity": 5}, "refill_rate"),
        ({"bucket_capacity": 0.5, "refill_rate": 1}, "bucket_capacity"),
        ({"per_minute": float("nan")}, "per_minute"),
        ({"reserve_percent": 100}, "reserve_percent"),
        ({"day_zone": "Mars/Olympus"}, "day_zone"),
    ],
)
def test_limits_that_make_no_sense_are_named(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Limits(**wrong)  # type: ignore[arg-type]  # wrong values are the point


class Holder:
    """Uses its share as a script says: some calls at once, some as late as it may, or dies with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.share: Share | None = None
        self.left = 0
        self.last_used_at = 0.0

    def use(self, count: int, now: float) -> list[float]:
        if self.share is None or now > self.share.expires_at:
            return []
        used = min(count, self.left)
        self.left -= used
        self.last_used_at = max(self.last_used_at, now) if used else self.last_used_at
        return [now] * used

    def report(self, state: BudgetState, limits: Limits) -> BudgetState:
        if self.share is None:
            return state
        share, self.share = self.share, None
        return give_back(state, limits, share.number, self.left, self.last_used_at)

    def ask(self, state: BudgetState, limits: Limits, now: float, wanted: int) -> BudgetState:
        state, answer = take(self.report(state, limits), limits, now, wanted, self.name)
        if isinstance(answer, Grant):
            self.share, self.left, self.last_used_at = answer.share, answer.share.count, now
        return state


limits_of_any_kind = st.builds(
    Limits,
    bucket_capacity=st.sampled_from([0, 1, 2, 5, 10, 100]),
    refill_rate=st.sampled_from([0.5, 1.0, 5.0, 10.0, 50.0]),
    per_minute=st.sampled_from([0, 5, 30, 300]),
    per_day=st.sampled_from([0, 7, 100]),
)
step = st.tuples(
    st.floats(0, 1) | st.floats(0, 40) | st.just(0.0),
    st.integers(0, 2),
    st.sampled_from(["ask", "use", "use late", "die", "report"]),
    st.integers(1, 30),
)


@settings(max_examples=300, deadline=None)
@given(limits=limits_of_any_kind, to_midnight=st.floats(0, 30), steps=st.lists(step, max_size=80))
def test_no_holders_however_they_behave_exceed_a_limit(
    limits: Limits, to_midnight: float, steps: list[tuple[float, int, str, int]]
) -> None:
    state, holders, calls = BudgetState(), [Holder(name) for name in "abc"], []
    now = limits.end_of_day(START) - to_midnight
    for pause, index, action, count in steps:
        now += pause
        holder = holders[index]
        if action == "ask":
            state = holder.ask(decode(encode(state)), limits, now, count)
        elif action == "report":
            state = holder.report(state, limits)
        elif action == "die":
            holders[index] = Holder(holder.name)
        elif action == "use late" and holder.share is not None:
            now = max(now, holder.share.expires_at)
            calls += holder.use(count, now)
        else:
            calls += holder.use(count, now)
    assert_kept(calls, limits)


@pytest.mark.parametrize(
    "limits",
    [
        Limits(bucket_capacity=20, refill_rate=40.0),
        Limits(bucket_capacity=100, refill_rate=10.0),
        Limits(per_minute=300),
        DEFAULTS,
    ],
    ids=["quick bucket", "bucket", "minute", "both"],
)
@pytest.mark.parametrize("seed", range(4))
def test_busy_holders_who_use_shares_late_and_die_keep_the_limits(limits: Limits, seed: int) -> None:
    dice, state, calls, now = Random(seed), BudgetState(), [], START
    holders = [Holder(name) for name in "abc"]
    while now < START + 200:
        now += dice.expovariate(20)
        index = dice.randrange(3)
        holder = holders[index]
        if dice.random() < 0.01:
            holders[index] = Holder(holder.name)
        elif holder.share is None or holder.left == 0 or now > holder.share.expires_at:
            state = holder.ask(state, limits, now, 20)
        elif dice.random() < 0.3 or now > holder.share.expires_at - 0.1:  # mostly late, all at once
            calls += holder.use(dice.choice([1, 20]), now)
    assert len(calls) > 300
    assert_kept(calls, limits)


def test_the_judge_sees_one_call_too_many() -> None:
    limits = Limits(bucket_capacity=2, refill_rate=1.0)
    assert_kept([START, START, START + 1], limits)
    with pytest.raises(AssertionError):
        assert_kept([START, START, START + 0.9], limits)
    with pytest.raises(AssertionError):
        assert_kept([START, START + 60], Limits(per_minute=1))
    with pytest.raises(AssertionError):
        assert_kept([START, START + 1], Limits(per_day=1))
