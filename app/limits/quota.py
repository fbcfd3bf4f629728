"""What a worker asks before it calls Google."""

from collections.abc import Callable, Mapping
from random import random as system_random

from app.clock import Clock
from app.limits.permits import BudgetStore, Permit, Wait
from app.limits.windows import BudgetView, Limits


class SharedQuota:
    """Budgets per (Google project, API), kept by all replicas together."""

    def __init__(
        self,
        store: BudgetStore,
        limits: Mapping[str, Limits],
        holder: str,
        clock: Clock,
        random: Callable[[], float] = system_random,
    ) -> None:
        """`limits` by API name (a missing one is without limits); `holder` is unique per start of a process."""
        raise NotImplementedError

    async def acquire(self, project: str, api: str, *, max_wait: float) -> Permit | Wait:
        """Leave for one call, first come first served; Wait as soon as it is known to take over `max_wait` seconds.

        Ask as the last step before the send. Every permit is answered by exactly one of `succeeded`, `throttled`
        or `released`.
        """
        raise NotImplementedError

    def still_valid(self, permit: Permit) -> bool:
        """Whether the call may still be sent. False for a permit that got old (a stopped process) or was closed."""
        raise NotImplementedError

    async def throttled(self, permit: Permit, retry_after: float | None) -> Wait:
        """A 429: closes the budget for everyone. `retry_after` in seconds, from Retry-After or RetryInfo."""
        raise NotImplementedError

    async def succeeded(self, permit: Permit) -> None:
        """Google answered without speaking of quota (200, but also 401, 403, 404). Opens a re-opening further."""
        raise NotImplementedError

    def released(self, permit: Permit) -> None:
        """The call said nothing about quota (timeout, 5xx) or was not made. The permit stays spent."""
        raise NotImplementedError

    def is_open(self, project: str, api: str) -> bool:
        """False while a 429 keeps the budget closed, as far as this process knows."""
        raise NotImplementedError

    async def snapshot(self) -> list[BudgetView]:
        """Every budget as the store has it, for people and metrics. Raises what the store raises."""
        raise NotImplementedError

    async def close(self) -> None:
        """Returns unused shares and answers everyone who still waits. Idempotent."""
        raise NotImplementedError
