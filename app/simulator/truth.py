"""What a fetcher must have found, changes included: the counts and ids of a world as it is now."""

from collections.abc import Iterator
from typing import Any

from app.simulator.catalogue import Catalogue
from app.simulator.changes import Changes


class Truth:
    """The world of a catalogue with the changes made to it."""

    def __init__(self, catalogue: Catalogue, changes: Changes) -> None:
        self._catalogue = catalogue
        self._changes = changes

    def totals(self) -> dict[str, int]:
        """`accounts`, `listed_locations` (once per account), `distinct_locations`, `verified_locations`, `reviews`."""
        catalogue = self._catalogue
        changed = self._changes.touched(catalogue)
        difference = sum(self._changes.count(catalogue, number) - catalogue.size(number) for number in changed)
        numbers = range(catalogue.distinct_locations)
        verified = len(numbers) if catalogue.unverified == 0 else sum(map(catalogue.is_verified, numbers))
        return {
            "accounts": catalogue.accounts,
            "listed_locations": catalogue.accounts * catalogue.locations,
            "distinct_locations": len(numbers),
            "verified_locations": verified,
            "reviews": catalogue.total_reviews() + difference,
        }

    def locations(self, start: int, stop: int) -> list[dict[str, Any]]:
        """`name`, `verified` and `reviews` of the distinct locations from `start` to before `stop`."""
        return [
            {
                "name": self._catalogue.location_name(number),
                "verified": self._catalogue.is_verified(number),
                "reviews": self._changes.count(self._catalogue, number),
            }
            for number in range(start, min(stop, self._catalogue.distinct_locations))
        ]

    def review_ids(self, location: str) -> Iterator[str]:
        """The ids of `locations/{id}`, newest first. Raises KeyError for a location of another world."""
        number = self._catalogue.location_number(location.rpartition("/")[2])
        if number is None:
            raise KeyError(f"{location} is not in this world")
        encode = self._catalogue.review_id_codec.encode
        entries = self._changes.window(self._catalogue, number, 0, self._changes.count(self._catalogue, number))
        return (encode(number, entry.review).decode() for entry in entries)
