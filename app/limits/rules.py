"""What one API may be called, and the small times that follow from it."""

import math
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

TRANSIT_SECONDS = 0.25
"""A call counts as made up to this long after its permit: the time a request may take to reach Google's counter."""

MINUTE = 60.0
LONGEST_SHARE_SECONDS = 2.0
GATHERING_CAPACITY = 20
SHORTEST_SHARE_SECONDS = 0.25
"""Below this a slow store would hand out shares that have expired on arrival."""


@dataclass(frozen=True)
class Limits:
    """What one API may be called, per Google project. 0 turns a limit off.

    `bucket_capacity` calls at once and `refill_rate` calls a second; `per_minute` in any 60 seconds; `per_day` in
    a calendar day of `day_zone` (Google's daily quotas begin at midnight Pacific). `reserve_percent` of each is
    left to others who use the same Google project. Raises ValueError for values that make no sense.
    """

    bucket_capacity: float = 0
    refill_rate: float = 0.0
    per_minute: int = 0
    per_day: int = 0
    reserve_percent: float = 0
    day_zone: str = "America/Los_Angeles"

    def __post_init__(self) -> None:
        for name in ("bucket_capacity", "refill_rate", "per_minute", "per_day"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be 0 (off) or more, not {value}")
        if self.bucket_capacity and not self.refill_rate:
            raise ValueError("refill_rate must be more than 0 while bucket_capacity is set")
        if 0 < self.bucket_capacity < 1:
            raise ValueError(f"bucket_capacity must be 0 (off) or at least 1, not {self.bucket_capacity}")
        if not 0 <= self.reserve_percent < 100:
            raise ValueError(f"reserve_percent must be from 0 to below 100, not {self.reserve_percent}")
        self._check_zone()

    def _check_zone(self) -> None:
        try:
            ZoneInfo(self.day_zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"day_zone must be a time zone like America/Los_Angeles: {self.day_zone}") from error

    @property
    def any(self) -> bool:
        """Whether anything is limited at all."""
        return bool(self.capacity or self.minute or self.day)

    @cached_property
    def capacity(self) -> float:
        """Of the bucket, after the reserve; 0 is off."""
        return max(1.0, self.bucket_capacity * self._ours) if self.bucket_capacity else 0.0

    @cached_property
    def rate(self) -> float:
        """Calls a second, after the reserve."""
        return self.refill_rate * self._ours

    @cached_property
    def minute(self) -> int:
        """Calls in any 60 seconds, after the reserve; 0 is off."""
        return max(1, int(self.per_minute * self._ours)) if self.per_minute else 0

    @cached_property
    def day(self) -> int:
        """Calls in a calendar day, after the reserve; 0 is off."""
        return max(1, int(self.per_day * self._ours)) if self.per_day else 0

    @property
    def _ours(self) -> float:
        return 1 - self.reserve_percent / 100

    @cached_property
    def fill_seconds(self) -> float:
        """How long an empty bucket takes to fill."""
        return self.capacity / self.rate if self.capacity else math.inf

    @cached_property
    def share_seconds(self) -> float:
        """How long a share may be used: short against the bucket, so that a share on loan costs little of it."""
        return min(LONGEST_SHARE_SECONDS, max(SHORTEST_SHARE_SECONDS, 0.05 * self.fill_seconds))

    @cached_property
    def share_size(self) -> int:
        """Calls in a share at most: what two seconds allow, and no large part of a day."""
        sizes = [self.rate * LONGEST_SHARE_SECONDS] if self.capacity else []
        sizes += [self.minute / MINUTE * LONGEST_SHARE_SECONDS] if self.minute else []
        sizes += [self.day / 100] if self.day else []
        return max(1, int(min(sizes, default=1)))

    @cached_property
    def pause_seconds(self) -> float:
        """How long to gather permits when several are wanted: a store call for a share, not for each call.

        Nothing is lost by it: the bucket, empty now, does not overflow meanwhile. A small one would gather too little.
        """
        return min(0.5, (0.3 if self.capacity >= GATHERING_CAPACITY else 0.05) * self.fill_seconds)

    @cached_property
    def bucket_transit(self) -> float:
        """TRANSIT_SECONDS, or less for a small bucket: a tenth of the time that its calls but one take to refill.

        A refill begins later by so much, which a bucket with room for one more call makes up for. One that has none
        allows fewer calls a second by it, and gets 2 % of the time in which it fills.
        """
        if not self.capacity:
            return TRANSIT_SECONDS
        return min(TRANSIT_SECONDS, max(0.02 * self.fill_seconds, 0.1 * (self.capacity - 1) / self.rate))

    def day_of(self, moment: float) -> int:
        """The calendar day in `day_zone`, as a proleptic ordinal."""
        return datetime.fromtimestamp(moment, self._zone).toordinal()

    def end_of_day(self, moment: float) -> float:
        """The next midnight in `day_zone`, epoch seconds; days of 23 and 25 hours included."""
        tomorrow = datetime.fromtimestamp(moment, self._zone).date() + timedelta(days=1)
        return datetime.combine(tomorrow, time.min, self._zone).timestamp()

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.day_zone)
