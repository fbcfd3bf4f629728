"""Whether something grows: a line through samples, by the median of all slopes, which a few outliers do not move."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

Point = tuple[float, float]
"""Seconds, value."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What may grow by how much over the whole of the measured stretch; `unit` for those who read it."""

    name: str
    most: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Trend:
    """`grown`: slope × length of the stretch. `first` and `last`: where the line begins and ends."""

    bound: Bound
    first: float
    last: float

    @property
    def grown(self) -> float:
        return self.last - self.first

    @property
    def kept(self) -> bool:
        return self.grown <= self.bound.most


def trend(bound: Bound, points: Sequence[Point]) -> Trend:
    """The line of Theil and Sen. Raises ValueError for less than two moments."""
    slopes = [(b - a) / (then - first) for (first, a), (then, b) in combinations(points, 2) if then > first]
    if not slopes:
        raise ValueError(f"{bound.name}: {len(points)} samples are not enough")
    slope = median(slopes)
    level = median(value - slope * moment for moment, value in points)
    return Trend(bound, level + slope * points[0][0], level + slope * points[-1][0])
