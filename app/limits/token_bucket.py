"""The guide's limiter: a token bucket for one process."""

import asyncio
import math

from app.clock import Clock, SystemClock
from app.limits.bucket import Level, fits


class TokenBucketLimiter:
    """At most `capacity + refill_rate · T` tokens in any T seconds. Starts full; capacity 0 means no limit."""

    def __init__(self, capacity: float, refill_rate: float, clock: Clock | None = None) -> None:
        if not (math.isfinite(capacity) and capacity >= 0):
            raise ValueError(f"capacity must be 0 (no limit) or more, not {capacity}")
        if capacity and not (math.isfinite(refill_rate) and refill_rate > 0):
            raise ValueError(f"refill_rate must be more than 0 tokens a second, not {refill_rate}")
        self._capacity = capacity
        self._rate = refill_rate
        self._clock = clock or SystemClock()
        self._level = Level(0.0, self._clock.monotonic())
        self._turn = asyncio.Lock()  # fair, and a cancelled waiter leaves it without a trace

    async def acquire(self, tokens: int = 1) -> bool:
        """Take now or not at all. Does not overtake those who wait."""
        self._check(tokens)
        return not self._turn.locked() and self._take(tokens)

    async def wait(self, tokens: int = 1) -> None:
        """Take as soon as possible, first come first served. Cancelled, it has taken nothing."""
        self._check(tokens)
        async with self._turn:
            while not self._take(tokens):
                await self._clock.sleep(self._seconds_until(tokens))

    @property
    def available(self) -> float:
        """Tokens that could be taken now; infinite when there is no limit."""
        return self._capacity - self._taken() if self._capacity else math.inf

    def _check(self, tokens: int) -> None:
        if tokens < 1:
            raise ValueError(f"tokens must be at least 1, not {tokens}")
        if self._capacity and tokens > self._capacity:
            raise ValueError(f"{tokens} tokens never fit into a bucket of {self._capacity}")

    def _taken(self) -> float:
        return self._level.taken_at(self._clock.monotonic(), self._rate)

    def _take(self, tokens: int) -> bool:
        if not self._capacity:
            return True
        if not fits(self._taken(), tokens, self._capacity):
            return False
        self._level = self._level.with_taken(tokens, self._clock.monotonic(), self._rate)
        return True

    def _seconds_until(self, tokens: int) -> float:
        return (self._taken() + tokens - self._capacity) / self._rate
