"""The arithmetic of a token bucket, once, for the limiter of one process and for the budget of all."""

from typing import NamedTuple

ROUNDING = 1e-6
"""Tokens forgiven when comparing: an epoch time as a float is only exact to a quarter of a microsecond."""


class Level(NamedTuple):
    """What was taken and has not been refilled yet, as of `at` (seconds). Tokens left = capacity − level.

    Counted from the taken side, so that a changed capacity needs no conversion, and something taken in the future
    (a permit that may still be used) can be entered before it happens.
    """

    taken: float = 0.0
    at: float = 0.0

    def taken_at(self, moment: float, rate: float) -> float:
        """The level at `moment`; before `at`, what had not been refilled by then is counted in full."""
        return max(0.0, self.taken - rate * (moment - self.at))

    def with_taken(self, count: float, moment: float, rate: float) -> "Level":
        """`count` more, taken at `moment`, or at `at` when that is later: late is the safe side."""
        moment = max(moment, self.at)
        return Level(self.taken_at(moment, rate) + count, moment)


def fits(level: float, count: float, capacity: float) -> bool:
    """Whether `count` more may be taken at this level."""
    return level + count <= capacity + ROUNDING
