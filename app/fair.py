"""Turns by weight, as start-time fair queueing counts them (Goyal, Vin and Cheng, 1996): pure arithmetic."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

MOST_NAMES = 1_000
"""Beyond it those are forgotten whose account is even with all others."""

NOTHING: Mapping[str, float] = MappingProxyType({})


class FairTurns:
    """Whoever has used least for its weight is next. Nobody saves up: who comes back begins with those who stayed."""

    def __init__(self) -> None:
        self._used: dict[str, float] = {}
        self._floor = 0.0

    def joins(self, name: str) -> None:
        """It wants something, and wanted nothing before."""
        self._used[name] = max(self._used.get(name, 0.0), self._floor)

    def first(self, names: Collection[str], ahead: Mapping[str, float] = NOTHING) -> str:
        """Who of those that joined is next; `ahead`: what each is using just now, for its weight. Not empty."""
        self._floor = max(self._floor, min(self._used[name] for name in names))
        return min(names, key=lambda name: self._used[name] + ahead.get(name, 0.0))

    def used(self, name: str, amount: float, weight: int) -> None:
        """It has used so much."""
        self._used[name] = self._used.get(name, self._floor) + amount / weight
        if len(self._used) > MOST_NAMES:
            self._used = {name: used for name, used in self._used.items() if used > self._floor}
