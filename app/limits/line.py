"""Replicas that wait for calls of the same budget stand in a line: pure functions over a part of its state.

Without it whoever asks at the right moment takes all that has come in since the last one asked, and goes on doing so.
"""

from typing import NamedTuple

from app.limits.permits import LONGEST_WAIT_SECONDS

LATE_SECONDS = 0.5
"""A replica that comes back so much later than it was told to has lost its place: it may have ended."""


class Waits(NamedTuple):
    """For so many calls; it comes back at `until` (epoch seconds)."""

    calls: int
    until: float


class Place(NamedTuple):
    """Of a replica, `holder`, that waits for so many calls and comes back at `until` (epoch seconds)."""

    holder: str
    calls: int
    until: float


Line = tuple[Place, ...]
"""Who came first is first."""


def part(line: Line, holder: str, free: int, now: float) -> int:
    """How many of the free calls are this holder's: what it waits for, behind those before it, and what nobody waits
    for."""
    before = own = wanted = 0
    for place in _present(line, now):
        if place.holder == holder:
            own, before = place.calls, wanted
        else:
            wanted += place.calls
    return max(0, min(own, free - before), free - wanted)


def others(line: Line, holder: str, now: float) -> int:
    """Calls that others wait for."""
    return sum(place.calls for place in _present(line, now) if place.holder != holder)


def after(line: Line, holder: str, got: int, more: Waits | None, now: float) -> Line:
    """The line once this holder got so many calls, and comes back for more: at its place until it has what it waited
    for there, then at the end. Nobody waits longer than a worker does."""
    present = _present(line, now)
    rest = tuple(place for place in present if place.holder != holder)
    if more is None or more.until > now + LONGEST_WAIT_SECONDS:
        return rest
    left = next((place.calls for place in present if place.holder == holder), 0) - got
    if left <= 0:
        return (*rest, Place(holder, *more))
    stays = Place(holder, min(more.calls, left), more.until)
    return tuple(stays if place.holder == holder else place for place in present)


def _present(line: Line, now: float) -> Line:
    """Without those who did not come back, and those of a clock that was set back since."""
    return tuple(place for place in line if -LATE_SECONDS < place.until - now <= LONGEST_WAIT_SECONDS)
