"""How large the simulated world is and what is in it: everything computed from a seed, nothing kept in memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from app.simulator.numbers import NumericIds, ReviewIds, mix

# PERSONAL is always and only the first account of a user (accounts.list of the Account Management API).
_FURTHER_ACCOUNT_TYPES = ("LOCATION_GROUP", "ORGANIZATION", "LOCATION_GROUP", "USER_GROUP")

# Ratings repeat every 16 reviews, so that the average of a location needs no walk over its reviews.
RATING_CYCLES = (
    (5, 5, 4, 5, 1, 5, 3, 5, 5, 4, 5, 2, 5, 5, 4, 5),
    (4, 5, 3, 5, 5, 2, 4, 5, 1, 5, 4, 3, 5, 4, 5, 5),
    (1, 3, 5, 2, 4, 1, 5, 3, 2, 5, 1, 4, 3, 1, 5, 2),
    (5, 5, 5, 5, 4, 5, 5, 5, 5, 5, 5, 4, 5, 5, 5, 5),
)


@dataclass(frozen=True)
class Catalogue:
    """The settings of a world, and the truth about it.

    `locations` is what each account lists, `reviews` the mean per location. With `spread` 0 every location has exactly
    that many; up to 1.0 the sizes vary by that share around the mean, and a tenth of the share is empty.
    Every account but the first lists the first `shared_locations` of the first account again, in place of own ones.
    `unverified` is a share of the locations, `empty` one of the verified ones (0 to 1), spread evenly and exact; an
    unverified location (no voice of merchant) shows no reviews.
    """

    seed: int = 1
    accounts: int = 1
    locations: int = 10
    reviews: int = 100
    spread: float = 0.0
    shared_locations: int = 0
    unverified: float = 0.0
    empty: float = 0.0

    def __post_init__(self) -> None:
        if min(self.seed, self.accounts, self.locations, self.reviews, self.shared_locations) < 0:
            raise ValueError("seed and sizes of a catalogue must not be negative")
        if not all(0 <= share <= 1 for share in (self.spread, self.unverified, self.empty)):
            raise ValueError("spread, unverified and empty are shares from 0 to 1")

    @cached_property
    def account_ids(self) -> NumericIds:
        return NumericIds(mix(self.seed, 1))

    @cached_property
    def location_ids(self) -> NumericIds:
        return NumericIds(mix(self.seed, 2))

    @cached_property
    def review_id_codec(self) -> ReviewIds:
        return ReviewIds(mix(self.seed, 3))

    @property
    def distinct_locations(self) -> int:
        if self.accounts == 0:
            return 0
        return self.locations + (self.accounts - 1) * self._own_locations

    @property
    def _shared(self) -> int:
        return min(self.shared_locations, self.locations)

    @property
    def _own_locations(self) -> int:
        return self.locations - self._shared

    def account_name(self, number: int) -> str:
        return f"accounts/{self.account_ids.encode(number)}"

    def location_name(self, number: int) -> str:
        return f"locations/{self.location_ids.encode(number)}"

    def account_type(self, number: int) -> str:
        return "PERSONAL" if number == 0 else _FURTHER_ACCOUNT_TYPES[(number - 1) % 4]

    def account_number(self, identifier: str) -> int | None:
        """The number of an account id of this world, else None."""
        number = self.account_ids.decode(identifier)
        return number if number is not None and number < self.accounts else None

    def location_number(self, identifier: str) -> int | None:
        """The number of a location id of this world, else None."""
        number = self.location_ids.decode(identifier)
        return number if number is not None and number < self.distinct_locations else None

    def location_at(self, account: int, position: int) -> int:
        """The number of the location that an account lists at a position."""
        if account == 0 or position < self._shared:
            return position
        return self.locations + (account - 1) * self._own_locations + position - self._shared

    def lists(self, account: int, location: int) -> bool:
        """Whether an account gives access to a location."""
        if account == 0:
            return location < self.locations
        first = self.location_at(account, self._shared)
        return location < self._shared or first <= location < first + self._own_locations

    def is_verified(self, location: int) -> bool:
        return not _is_in_share(location, self.unverified)

    def size(self, location: int) -> int:
        """How many reviews the location with this number starts with; 0 for an unverified one."""
        if not self.is_verified(location):
            return 0
        rank = location - int(location * self.unverified)  # among the verified ones
        if _is_in_share(rank, self.empty):
            return 0
        if self.spread == 0:
            return self.reviews
        share = mix(self.seed << 20 ^ location, 5) / 2**64
        if share < self.spread / 10:
            return 0
        return round(self.reviews * (1 - self.spread + 2 * self.spread * mix(self.seed, location) / 2**64))

    def account_names(self) -> Iterator[str]:
        return map(self.account_name, range(self.accounts))

    def location_names(self, account: str) -> Iterator[str]:
        """`locations/{id}` of each location that `accounts/{id}` lists, in the order of the list."""
        number = self._known(self.account_number(account.rpartition("/")[2]), account)
        return (self.location_name(self.location_at(number, at)) for at in range(self.locations))

    def distinct_location_names(self) -> Iterator[str]:
        return map(self.location_name, range(self.distinct_locations))

    def review_count(self, location: str) -> int:
        """How many reviews `locations/{id}` starts with (before any change made while the simulator runs)."""
        return self.size(self._known(self.location_number(location.rpartition("/")[2]), location))

    def review_ids(self, location: str) -> Iterator[str]:
        """The review ids of `locations/{id}`, newest first (before any change made while the simulator runs)."""
        number = self._known(self.location_number(location.rpartition("/")[2]), location)
        encode = self.review_id_codec.encode
        return (encode(number, at).decode() for at in reversed(range(self.size(number))))

    def verified_location_names(self) -> Iterator[str]:
        return (self.location_name(at) for at in range(self.distinct_locations) if self.is_verified(at))

    def total_reviews(self) -> int:
        """Distinct reviews of the whole world."""
        if self.spread == self.unverified == self.empty == 0:
            return self.distinct_locations * self.reviews
        return sum(map(self.size, range(self.distinct_locations)))

    def rating(self, location: int, review: int) -> int:
        """1 to 5."""
        return RATING_CYCLES[mix(self.seed, location) & 3][review & 15]

    def rating_sum(self, location: int, count: int) -> int:
        """The sum of the ratings of the first `count` reviews of a location."""
        cycle = RATING_CYCLES[mix(self.seed, location) & 3]
        return count // 16 * sum(cycle) + sum(cycle[: count % 16])

    @staticmethod
    def _known(number: int | None, name: str) -> int:
        if number is None:
            raise KeyError(f"{name} is not in this catalogue")
        return number


def _is_in_share(number: int, share: float) -> bool:
    """Picks numbers evenly, so that of the first n numbers share·n are picked."""
    return int((number + 1) * share) > int(number * share)
