"""Which budgets have nothing to give: their tasks need not be released, only to come back.

What this process was told itself, and what the store says of all of them: the workers that met a spent budget may be
other processes than the one that releases tasks.
"""

from collections.abc import Mapping, Sequence

from app.clock import Clock
from app.limits.permits import LONGEST_WAIT_SECONDS, Wait
from app.limits.rules import Limits
from app.limits.windows import decode, waiting

Budget = tuple[str, str]
"""Project and API."""


class SpentBudgets:
    """Waits by project and API, each until its moment (epoch seconds of this process's clock)."""

    def __init__(self, clock: Clock, limits: Mapping[str, Limits]) -> None:
        """`limits` by API name, as for `SharedQuota`."""
        self._clock = clock
        self._limits = {str(api): limit for api, limit in limits.items()}
        self._waits: dict[Budget, Wait] = {}
        self._stored: dict[Budget, Wait] = {}

    def wait_for(self, project: str, api: str, wait: Wait) -> None:
        """Nothing of this budget before `wait.until`."""
        self._waits[project, str(api)] = wait

    def learn(self, now: float, rows: Sequence[tuple[str, str, bytes]]) -> None:
        """All stored budgets (project, api, state) as of `now`, the database's time.

        A budget that opens while a worker would wait for it is not spent: its tasks may be on their way already.
        """
        here, stored = self._clock.now(), {}
        for project, api, raw in rows:
            try:
                refusal = waiting(decode(raw), self._limits.get(api, Limits()), now)
            except ValueError:  # written by a newer release: what was said to our own workers still counts
                continue
            if refusal is not None and refusal.wait_seconds > LONGEST_WAIT_SECONDS:
                stored[project, api] = Wait(here + refusal.wait_seconds, refusal.reason)
        self._stored = stored

    def waits(self, api: str) -> Mapping[str, Wait]:
        """The projects that have nothing to give at this moment."""
        return {project: wait for (project, of), wait in self._all().items() if of == api}

    def next_opening(self) -> float | None:
        """When the first of them is worth asking again, in seconds since 1970."""
        return min((wait.until for wait in self._all().values()), default=None)

    def _all(self) -> dict[Budget, Wait]:
        now = self._clock.now()
        for waits in (self._waits, self._stored):
            for budget in [budget for budget, wait in waits.items() if wait.until <= now]:
                del waits[budget]
        latest = dict(self._waits)
        for budget, wait in self._stored.items():
            if budget not in latest or latest[budget].until < wait.until:
                latest[budget] = wait
        return latest
