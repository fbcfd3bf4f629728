"""The limiter of one process."""

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.limits.token_bucket import TokenBucketLimiter
from tests.support.clock import ManualClock, settle_loop


async def test_a_full_bucket_gives_its_capacity_at_once_and_no_more() -> None:
    limiter = TokenBucketLimiter(3, 1.0, ManualClock())
    assert [await limiter.acquire() for _ in range(4)] == [True, True, True, False]


async def test_an_empty_bucket_refills_with_time() -> None:
    clock = ManualClock()
    limiter = TokenBucketLimiter(2, 10.0, clock)
    assert await limiter.acquire(2)
    await clock.advance(0.05)
    assert not await limiter.acquire()
    await clock.advance(0.06)
    assert await limiter.acquire()


async def test_a_long_rest_refills_no_more_than_the_capacity() -> None:
    clock = ManualClock()
    limiter = TokenBucketLimiter(2, 10.0, clock)
    await clock.advance(1000)
    assert limiter.available == 2
    assert [await limiter.acquire() for _ in range(3)] == [True, True, False]


async def test_those_who_wait_are_served_in_order() -> None:
    clock = ManualClock()
    limiter = TokenBucketLimiter(2, 1.0, clock)
    assert await limiter.acquire(2)
    served: list[str] = []

    async def wait(name: str, tokens: int) -> None:
        await limiter.wait(tokens)
        served.append(name)

    tasks = [asyncio.create_task(wait(*who)) for who in [("big", 2), ("small", 1), ("last", 1)]]
    await clock.advance(1.5)
    assert served == []  # the small one could be served, but is not first
    await clock.advance(0.6)
    assert served == ["big"]
    await clock.advance(2)
    assert served == ["big", "small", "last"]
    await asyncio.gather(*tasks)


async def test_who_does_not_wait_does_not_overtake_who_does() -> None:
    clock = ManualClock()
    limiter = TokenBucketLimiter(2, 1.0, clock)
    assert await limiter.acquire(2)
    waiting = asyncio.create_task(limiter.wait(2))
    await clock.advance(1.5)
    assert not await limiter.acquire(1)
    await clock.advance(1)
    await waiting


async def test_a_cancelled_waiter_takes_nothing_and_blocks_nobody() -> None:
    clock = ManualClock()
    limiter = TokenBucketLimiter(2, 1.0, clock)
    assert await limiter.acquire(2)
    first, second = asyncio.create_task(limiter.wait(2)), asyncio.create_task(limiter.wait(1))
    await settle_loop()
    first.cancel()
    await clock.advance(1.01)
    assert first.cancelled()
    assert second.done()
    await clock.advance(1)
    assert await limiter.acquire()


async def test_capacity_zero_means_no_limit() -> None:
    limiter = TokenBucketLimiter(0, 0.0, ManualClock())
    assert all([await limiter.acquire(1000) for _ in range(100)])
    await limiter.wait(1000)
    assert limiter.available == math.inf


@pytest.mark.parametrize(("capacity", "rate"), [(-1, 1.0), (math.nan, 1.0), (1, 0.0), (1, math.inf)])
def test_limits_that_make_no_sense_are_refused(capacity: float, rate: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        TokenBucketLimiter(capacity, rate, ManualClock())


async def test_more_than_the_bucket_holds_is_refused_rather_than_waited_for() -> None:
    with pytest.raises(ValueError, match="never fit"):
        await TokenBucketLimiter(2, 1.0, ManualClock()).wait(3)


@given(
    capacity=st.integers(1, 20),
    rate=st.floats(0.1, 50),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 5)), min_size=1, max_size=60),
)
async def test_no_window_holds_more_than_capacity_plus_refill(
    capacity: int, rate: float, steps: list[tuple[float, int]]
) -> None:
    clock = ManualClock()
    limiter = TokenBucketLimiter(capacity, rate, clock)
    taken: list[float] = []
    for pause, tries in steps:
        await clock.advance(pause)
        taken += [clock.monotonic() for _ in range(tries) if await limiter.acquire()]
    for first, start in enumerate(taken):
        for last in range(first, len(taken)):
            assert last - first + 1 <= capacity + rate * (taken[last] - start) + 1e-4
