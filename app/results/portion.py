"""How much goes into one transaction of Kafka: as much as a broker of today's speed commits in time."""

BATCH_REVIEWS = 10_000
BATCH_BYTES = 16 * 2**20
"""Of one transaction at most, and of Google's objects in it. A single page may exceed it."""

FALLING = 4
RISING = 2
SMALLEST = 10_000
"""The part that is always tried: one page."""


class Portion:
    """Kafka ends a transaction that takes too long, and the same again would take as long again, for ever."""

    def __init__(self) -> None:
        self._part = 1

    @property
    def reviews(self) -> int:
        return BATCH_REVIEWS // self._part

    @property
    def bytes(self) -> int:
        return BATCH_BYTES // self._part

    def failed(self) -> None:
        """A transaction came to nothing: less the next time."""
        self._part = min(SMALLEST, FALLING * self._part)

    def arrived(self) -> None:
        """A transaction was committed: more again."""
        self._part = max(1, self._part // RISING)
