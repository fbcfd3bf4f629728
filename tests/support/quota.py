"""What Google's ledger says of a quota."""

from collections.abc import Sequence
from datetime import UTC, datetime


def zone_at_noon() -> str:
    """A time zone in which no day ends within the next hours."""
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"


def worst_bucket_excess(times: Sequence[float], capacity: float, rate: float) -> float:
    """By how many calls some window holds more than capacity + rate · T; zero or less is kept.

    For the n-th permit, the calls since permit m minus what was refilled since: the maximum over m is a running one.
    """
    worst, best_start = float("-inf"), float("-inf")
    for index, moment in enumerate(sorted(times)):
        best_start = max(best_start, rate * moment - index)
        worst = max(worst, index + 1 - rate * moment + best_start)
    return worst - capacity
