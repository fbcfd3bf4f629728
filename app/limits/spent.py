"""Which budgets this process was told to wait for: their tasks need not be released, only to come back."""

from app.clock import Clock


class SpentBudgets:
    """Projects by API, each until a moment (seconds since 1970)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[tuple[str, str], float] = {}

    def wait_for(self, project: str, api: str, until: float) -> None:
        """Nothing of this budget before `until`."""
        self._until[project, api] = until

    def projects(self, api: str) -> list[str]:
        """Those that have nothing to give at this moment."""
        self._forget()
        return [project for project, of in self._until if of == api]

    def next_opening(self) -> float | None:
        """When the first of them is worth asking again."""
        self._forget()
        return min(self._until.values(), default=None)

    def _forget(self) -> None:
        now = self._clock.now()
        for budget in [budget for budget, until in self._until.items() if until <= now]:
            del self._until[budget]
