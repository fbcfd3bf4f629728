"""The guide's backoff: exponential, capped, with a little jitter. Pure: nothing here waits."""

import math
import random as system_random
from collections.abc import Callable

JITTER = 0.1
"""Up to this part of a backoff is added at random: tasks that failed together do not come back together."""


class ExponentialBackoffPolicy:
    """`initial_ms · multiplier ** attempt`, at most `max_ms`; `max_retries` attempts after the first failure.

    `random` returns a number in [0, 1). Raises ValueError, naming the value, for what makes no sense.
    """

    def __init__(
        self,
        initial_ms: int = 100,
        multiplier: float = 2.0,
        max_ms: int = 10_000,
        max_retries: int = 3,
        random: Callable[[], float] = system_random.random,
    ) -> None:
        if initial_ms < 1:
            raise ValueError(f"initial_ms must be at least 1 millisecond, not {initial_ms}")
        if not (math.isfinite(multiplier) and multiplier >= 1):
            raise ValueError(f"multiplier must be a number of at least 1, not {multiplier}")
        if max_ms < initial_ms:
            raise ValueError(f"max_ms ({max_ms}) must not be less than initial_ms ({initial_ms})")
        if max_retries < 0:
            raise ValueError(f"max_retries must be 0 (never retry) or more, not {max_retries}")
        self._initial_ms = initial_ms
        self._multiplier = multiplier
        self._max_ms = max_ms
        self._max_retries = max_retries
        self._random = random

    def get_backoff_ms(self, attempt: int) -> int:
        """Milliseconds to wait after failure `attempt` (0 is the first); never over the cap."""
        base = self._capped(attempt)
        return min(self._max_ms, int(base + base * JITTER * self._random()))

    def should_retry(self, attempt: int) -> bool:
        """Whether failure number `attempt` (0 is the first) is followed by another try."""
        return _checked(attempt) < self._max_retries

    def _capped(self, attempt: int) -> float:
        try:
            return min(float(self._max_ms), self._initial_ms * self._multiplier ** _checked(attempt))
        except OverflowError:  # a float ends at 1.8e308, far above any cap
            return float(self._max_ms)


def _checked(attempt: int) -> int:
    if attempt < 0:
        raise ValueError(f"attempt counts from 0, got {attempt}")
    return attempt
