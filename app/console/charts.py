"""Numbers as shapes: what a template needs to draw columns and shares as SVG, scaled by the browser."""

import math
from collections.abc import Sequence
from typing import NamedTuple

HEIGHT = 100.0
"""Of a drawing, in its own units; its width is one unit a column."""

FEWEST = 10.0
"""The top of an axis where nothing happens: two reviews do not look like a rush."""


STEPS = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)

NARROWEST = 0.01
"""Of the whole: one failed job among thousands is still seen."""


class Column(NamedTuple):
    """A column of a drawing, from its top `y` downwards by `height`."""

    x: int
    y: float
    height: float


class Columns(NamedTuple):
    """Columns side by side under the value `top`."""

    top: float
    columns: list[Column]


class Share(NamedTuple):
    """A part of a whole, from `start` on for `width`, in hundredths."""

    name: str
    start: float
    width: float


def columns(values: Sequence[float], top: float | None = None) -> Columns:
    """The values as columns. `top` is that of another drawing that these are to be laid over."""
    above = top or round_above(max(values, default=0.0))
    heights = [round(HEIGHT * min(value, above) / above, 2) for value in values]
    return Columns(above, [Column(x, round(HEIGHT - height, 2), height) for x, height in enumerate(heights)])


def round_above(value: float) -> float:
    """The next value that reads well: 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150 …"""
    if value <= FEWEST:
        return FEWEST
    magnitude = 10.0 ** math.floor(math.log10(value))
    return next(step * magnitude for step in STEPS if step * magnitude >= value)


def shares(counts: Sequence[tuple[str, int]]) -> list[Share]:
    """The parts that there are, one after the other; none of them so narrow that it cannot be seen."""
    there = [(name, count) for name, count in counts if count]
    least = NARROWEST * sum(count for _, count in there)
    whole = sum(max(count, least) for _, count in there)
    found: list[Share] = []
    start = 0.0
    for name, count in there:
        width = 100 * max(count, least) / whole
        found.append(Share(name, round(start, 3), round(width, 3)))
        start += width
    return found
