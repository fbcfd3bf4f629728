"""What changed in a world since it was made: only locations that were touched are kept in memory."""

from dataclasses import dataclass

from app.simulator.catalogue import Catalogue
from app.simulator.render import Entry


@dataclass
class ChangedLocation:
    """The reviews of a touched location, newest change first."""

    order: list[Entry]
    next_review: int
    next_moment: int
    version: int = 0

    def insert(self, count: int) -> None:
        """New reviews appear at the top."""
        for _ in range(count):
            self.order.insert(0, Entry(self.next_review, self._moment()))
            self.next_review += 1

    def edit(self, count: int) -> None:
        """The oldest reviews are edited, and so move to the top."""
        for _ in range(min(count, len(self.order))):
            edited = self.order.pop()
            self.order.insert(0, Entry(edited.review, self._moment()))

    def delete(self, count: int) -> None:
        """The newest reviews vanish, as if their authors took them back: everything behind them moves up."""
        del self.order[:count]
        self.version += 1

    def _moment(self) -> int:
        self.version += 1
        self.next_moment += 1
        return self.next_moment - 1


class Changes:
    """The touched locations of all worlds, by catalogue and location number."""

    def __init__(self) -> None:
        self._touched: dict[tuple[Catalogue, int], ChangedLocation] = {}

    def mutate(self, catalogue: Catalogue, location: int, insert: int, edit: int, delete: int) -> None:
        """Deletes first, then edits, then inserts. An unverified location has nothing to change."""
        if not catalogue.is_verified(location):
            return
        changed = self._touched.setdefault((catalogue, location), _untouched(catalogue, location))
        changed.delete(delete)
        changed.edit(edit)
        changed.insert(insert)

    def clear(self) -> None:
        self._touched.clear()

    def touched(self, catalogue: Catalogue) -> list[int]:
        """The numbers of the touched locations of one world."""
        return [location for world, location in self._touched if world == catalogue]

    def count(self, catalogue: Catalogue, location: int) -> int:
        changed = self._touched.get((catalogue, location))
        return catalogue.size(location) if changed is None else len(changed.order)

    def version(self, catalogue: Catalogue, location: int) -> int:
        """A number that is another one after every change."""
        changed = self._touched.get((catalogue, location))
        return 0 if changed is None else changed.version

    def window(self, catalogue: Catalogue, location: int, offset: int, size: int) -> list[Entry]:
        """`size` entries from `offset`, newest first."""
        changed = self._touched.get((catalogue, location))
        if changed is not None:
            return changed.order[offset : offset + size]
        newest = catalogue.size(location) - 1 - offset
        return [Entry(number, number) for number in range(newest, max(-1, newest - size), -1)]

    def by_rating(self, catalogue: Catalogue, location: int, offset: int, size: int, descending: bool) -> list[Entry]:
        """`size` entries from `offset`, ordered by rating."""
        everything = self.window(catalogue, location, 0, self.count(catalogue, location))
        sign = -1 if descending else 1
        everything.sort(key=lambda entry: sign * catalogue.rating(location, entry.review))
        return everything[offset : offset + size]

    def find(self, catalogue: Catalogue, location: int, review: int) -> Entry | None:
        changed = self._touched.get((catalogue, location))
        if changed is not None:
            return next((entry for entry in changed.order if entry.review == review), None)
        return Entry(review, review) if review < catalogue.size(location) else None

    def average_rating(self, catalogue: Catalogue, location: int) -> float:
        """The mean of all ratings, to one digit; 0.0 without reviews."""
        count = self.count(catalogue, location)
        if count == 0:
            return 0.0
        changed = self._touched.get((catalogue, location))
        if changed is None:
            return round(catalogue.rating_sum(location, count) / count, 1)
        return round(sum(catalogue.rating(location, entry.review) for entry in changed.order) / count, 1)


def _untouched(catalogue: Catalogue, location: int) -> ChangedLocation:
    count = catalogue.size(location)
    return ChangedLocation([Entry(number, number) for number in range(count - 1, -1, -1)], count, count)
