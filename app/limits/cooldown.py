"""How long a 429 closes a budget."""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

LONGEST_SECONDS = 3600.0
"""A Retry-After above an hour is taken as an hour: a wrong one must not stop a job for a day."""

LONGEST_BACKOFF_SECONDS = 64.0
"""Cap of the backoff without Retry-After: just over the minute that Google's windows last."""

TINY_SECONDS = 0.5
"""A Retry-After below this, as a rule 0, says no more than "not now"."""

TINY_BELIEVED = 2
"""Closings in a row for which a tiny Retry-After is taken at its word; further ones back off as if it were not there.
Else a server that always says 0 would be asked ten times a second for as long as its quota is spent."""

PROVEN = 8
"""Calls that went well since a re-opening after which the next 429 is a new event, not the next of a series: with some
429s among 100 good calls, few re-openings would complete, and the waits would grow to their longest."""

SHORTEST_SECONDS = 0.1
"""Below this a call sent before the closing could not be told from one sent after the re-opening."""


class Cooldown(msgspec.Struct, frozen=True, array_like=True):
    """`until` (epoch seconds) is both the end of the closing and, once past, the moment of the last re-opening.

    `streak` counts closings in a row without a re-opening between them that proved good, `good` the calls that went
    well since, of all replicas.
    """

    until: float = 0.0
    streak: int = 0
    reason: str = ""
    good: int = 0

    def is_same(self, other: "Cooldown") -> bool:
        """Whether both are of the same closing."""
        return (self.until, self.streak) == (other.until, other.streak)


def after_429(
    cooldown: Cooldown, now: float, call_sent_at: float, retry_after: float | None, random: Callable[[], float]
) -> Cooldown:
    """The cooldown after a 429 to a call sent at `call_sent_at`. Times in epoch seconds, `retry_after` in seconds.

    Calls sent before the last re-opening belong to the closing before it: they may lengthen it when Google says so,
    but 64 of them are still one event.
    """
    asked = None if retry_after is None else min(LONGEST_SECONDS, max(0.0, retry_after))
    if call_sent_at >= cooldown.until:
        return _next(cooldown, now, asked, random)
    if asked is not None and now + asked > cooldown.until:
        return Cooldown(now + asked, max(1, cooldown.streak), _asked_reason(asked))
    return cooldown


def after_reopening(cooldown: Cooldown, call_sent_at: float) -> Cooldown:
    """The cooldown once calls go well again: the next 429 starts from the shortest wait."""
    if call_sent_at < cooldown.until or not cooldown.streak:
        return cooldown
    return Cooldown(cooldown.until)


def after_good_calls(cooldown: Cooldown, seen: Cooldown, count: int) -> Cooldown:
    """The cooldown once `count` calls went well since the end of `seen`, the closing that their caller knows of."""
    if not count or not cooldown.streak or not cooldown.is_same(seen):
        return cooldown
    good = cooldown.good + count
    return Cooldown(cooldown.until) if good >= PROVEN else replace(cooldown, good=good)


def _next(cooldown: Cooldown, now: float, asked: float | None, random: Callable[[], float]) -> Cooldown:
    streak = cooldown.streak + 1
    if asked is not None and (asked >= TINY_SECONDS or streak <= TINY_BELIEVED):
        return Cooldown(now + max(SHORTEST_SECONDS, asked), streak, _asked_reason(asked))
    # Google's advice for these APIs: uniform(0, 1 s · 2 ** attempt); the exponent is bounded before it overflows
    longest = min(LONGEST_BACKOFF_SECONDS, 2.0 ** min(streak - 1, 10))
    seconds = max(SHORTEST_SECONDS, asked or 0.0, longest * random())
    return Cooldown(now + seconds, streak, f"Google said too many requests (429), {streak} in a row")


def _asked_reason(seconds: float) -> str:
    return f"Google said too many requests (429) and asked for {seconds:g} seconds"
