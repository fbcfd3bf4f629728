"""Turns by weight, as start-time fair queueing counts them (Goyal, Vin and Cheng, 1996): pure arithmetic."""

import math
from collections.abc import Collection, Mapping
from types import MappingProxyType

MOST_NAMES = 1_000
"""Beyond it those are forgotten whose account is even with all others."""

NOTHING: Mapping[str, float] = MappingProxyType({})


class FairTurns:
    """Whoever has used least for its weight is next. Nobody saves up: who comes back begins with those who stayed, or
    `credit` before them if it was served so much less: it may only have been away for a moment. And nobody waits for
    more than `debt` to be made up for.
    """

    def __init__(self, credit: float = 0.0, debt: float = math.inf) -> None:
        self._credit = credit
        self._debt = debt
        self._used: dict[str, float] = {}
        self._floor = 0.0

    def joins(self, name: str, beside: Collection[str] = ()) -> None:
        """It wants something, and wanted nothing before; `beside`: who has what it wants, or waits for it already."""
        self._raise_floor(beside)
        self._used[name] = max(self._of(name), self._floor - self._credit)

    def first(self, names: Collection[str], ahead: Mapping[str, float] = NOTHING) -> str:
        """Who of those that joined is next; `ahead`: what each is using just now, for its weight. Not empty."""
        self._raise_floor(names)
        for name in names:
            self._used[name] = min(self._of(name), self._floor + self._debt)
        return min(names, key=lambda name: self._used[name] + ahead.get(name, 0.0))

    def used(self, name: str, amount: float, weight: int) -> None:
        """It has used so much."""
        self._used[name] = self._of(name) + amount / weight
        if len(self._used) > MOST_NAMES:
            self._used = {name: used for name, used in self._used.items() if used >= self._floor - self._credit}

    def _raise_floor(self, names: Collection[str]) -> None:
        self._floor = max(self._floor, min(map(self._of, names), default=self._floor))

    def _of(self, name: str) -> float:
        return self._used.get(name, self._floor)
