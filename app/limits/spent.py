"""Which budgets this process was told to wait for: their tasks need not be released, only to come back."""

from collections.abc import Mapping

from app.clock import Clock
from app.limits.permits import Wait


class SpentBudgets:
    """Waits by project and API, each until its moment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waits: dict[tuple[str, str], Wait] = {}

    def wait_for(self, project: str, api: str, wait: Wait) -> None:
        """Nothing of this budget before `wait.until`."""
        self._waits[project, api] = wait

    def waits(self, api: str) -> Mapping[str, Wait]:
        """The projects that have nothing to give at this moment."""
        self._forget()
        return {project: wait for (project, of), wait in self._waits.items() if of == api}

    def next_opening(self) -> float | None:
        """When the first of them is worth asking again, in seconds since 1970."""
        self._forget()
        return min((wait.until for wait in self._waits.values()), default=None)

    def _forget(self) -> None:
        now = self._clock.now()
        for budget in [budget for budget, wait in self._waits.items() if wait.until <= now]:
            del self._waits[budget]
