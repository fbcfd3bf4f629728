"""Whether the process can do its work now: what `/readyz` answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from app.api.schemas import Readiness
from app.broker.base import Broker
from app.clock import Clock
from app.lifecycle import Loop
from app.store.database import Database
from app.store.writable import prove_writable

CHECK_SECONDS = 5.0
"""For the store and the broker each, side by side: red within 10 s of their going away."""

FRESH_SECONDS = 1.0
"""An answer serves everyone who asks within this time: the endpoint is open to all, and the checks are not free."""


class ReadinessCheck:
    """Asks the store by a write, the broker for its topics, and the loops whether they keep dying.

    `problems`: what else keeps it from its work, by the part's name.
    """

    def __init__(
        self,
        database: Database,
        broker: Broker,
        loops: Sequence[Loop],
        clock: Clock,
        problems: Callable[[], dict[str, str]],
    ) -> None:
        self._database = database
        self._broker = broker
        self._loops = loops
        self._clock = clock
        self._problems = problems
        self._answer: Readiness | None = None
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def __call__(self) -> Readiness:
        async with self._asking:
            if self._answer is None or self._clock.monotonic() - self._asked_at >= FRESH_SECONDS:
                self._answer = await self._check()
                self._asked_at = self._clock.monotonic()
            return self._answer

    async def _check(self) -> Readiness:
        store, broker = await asyncio.gather(_ask(self._write), _ask(self._broker.check))
        checks = {"store": store, "broker": broker}
        checks |= {loop.name: "ok" if loop.healthy else "keeps dying: see the logs" for loop in self._loops}
        checks |= self._problems()
        if not self._loops:
            checks["loops"] = "do not run: the process starts or stops"
        return Readiness(ready=set(checks.values()) == {"ok"}, checks=checks)

    async def _write(self) -> None:
        """A store that can only be read cannot do the service's work, nor one that another service has taken."""
        await self._database.write(prove_writable)
        await self._database.check()


async def _ask(check: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except TimeoutError:
        return f"did not answer within {CHECK_SECONDS:.0f} s"
    except Exception as error:
        return str(error) or type(error).__name__
    return "ok"
