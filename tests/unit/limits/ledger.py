"""What a judge of promise 6 does with the times of permits."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from app.limits.rules import Limits
from tests.support.quota import worst_bucket_excess


def most_in_any_minute(times: Sequence[float]) -> int:
    """The fullest closed window of 60 seconds."""
    ordered, start, most = sorted(times), 0, 0
    for index, moment in enumerate(ordered):
        while ordered[start] < moment - 60:
            start += 1
        most = max(most, index - start + 1)
    return most


def most_in_any_day(times: Sequence[float], zone: str) -> int:
    """The fullest calendar day."""
    days = Counter(datetime.fromtimestamp(moment, ZoneInfo(zone)).date() for moment in times)
    return max(days.values(), default=0)


def assert_kept(times: Sequence[float], limits: Limits) -> None:
    """Promise 6, by permit times in epoch seconds."""
    if limits.bucket_capacity:
        assert worst_bucket_excess(times, limits.bucket_capacity, limits.refill_rate) <= 1e-3
    if limits.per_minute:
        assert most_in_any_minute(times) <= limits.per_minute
    if limits.per_day:
        assert most_in_any_day(times, limits.day_zone) <= limits.per_day
