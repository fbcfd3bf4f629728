"""Work that a process has and no worker has taken yet."""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable

from app.broker.base import Delivery
from app.fair import FairTurns

EXPECTED_SECONDS = 1.0
"""What is in hand is taken to keep its place so long, until it is known better: a worker's turn, when others wait."""

CREDIT_SECONDS = 2.0
"""The next work of a tenant with a small share may be on its way from the scheduler just when a place is free."""

DEBT_SECONDS = 2.0
"""Places that all wait for quota may not become free for so long; then the one who had none would have all of them."""


class WaitingWork:
    """A queue that serves tenants by the time that their work keeps workers busy, for their weight; and the jobs of
    each in turn, one piece of work each. For one event loop; whoever fills it bounds it."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._tenants: dict[str, OrderedDict[str, deque[Delivery]]] = {}
        self._turns = FairTurns(CREDIT_SECONDS, DEBT_SECONDS)
        self._in_hand: set[Delivery] = set()
        self._hands: Counter[str] = Counter()
        self._weights: dict[str, int] = {}
        self._counted_at = monotonic()
        self._filled = asyncio.Event()
        self._error: Exception | None = None

    def __len__(self) -> int:
        return sum(len(of_job) for jobs in self._tenants.values() for of_job in jobs.values())

    def put(self, deliveries: Iterable[Delivery]) -> None:
        self._count_time()
        for delivery in deliveries:
            work = delivery.work
            if work.tenant not in self._tenants:
                self._turns.joins(work.tenant, self._tenants.keys() | self._hands.keys())
                self._tenants[work.tenant] = OrderedDict()
            self._tenants[work.tenant].setdefault(work.job_id, deque()).append(delivery)
        self._note_filled()

    async def take(self, limit: int) -> list[Delivery]:
        """Up to `limit`, at least one: waits for it. A cancelled wait takes nothing; raises what `fail` left.

        Each is told by `finished` when its worker has done with it.
        """
        while not self._tenants:
            await self._filled.wait()
            self._raise_once()
        self._count_time()
        taken: list[Delivery] = []
        while self._tenants and len(taken) < limit:
            taken.append(self._pop())
        self._note_filled()
        return taken

    def finished(self, delivery: Delivery) -> None:
        """No worker has it in hand any more. What was not taken, or is told twice, counts for nothing."""
        if delivery in self._in_hand:
            self._count_time()
            self._in_hand.remove(delivery)
            self._hands[delivery.work.tenant] -= 1
            self._hands += Counter()  # without those that have nothing in hand

    def remove(self, unwanted: Callable[[Delivery], bool]) -> int:
        """Take out what nobody here shall work on; how many that were."""
        before = [delivery for jobs in self._tenants.values() for of_job in jobs.values() for delivery in of_job]
        kept = [delivery for delivery in before if not unwanted(delivery)]
        self._tenants.clear()
        self.put(kept)
        return len(before) - len(kept)

    def fail(self, error: Exception) -> None:
        """Nothing more will come: whoever waits, or will wait next, learns why."""
        self._error = error
        self._filled.set()

    def others(self, job_id: str) -> bool:
        """Whether work of another job is here."""
        return any(len(jobs) > (job_id in jobs) for jobs in self._tenants.values())

    def _raise_once(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            self._note_filled()
            raise error

    def _pop(self) -> Delivery:
        ahead = {tenant: self._hands[tenant] * EXPECTED_SECONDS / self._weight(tenant) for tenant in self._tenants}
        tenant = self._turns.first(self._tenants.keys(), ahead)
        jobs = self._tenants[tenant]
        job_id, of_job = jobs.popitem(last=False)
        delivery = of_job.popleft()
        if of_job:
            jobs[job_id] = of_job
        if not jobs:
            del self._tenants[tenant]
        self._in_hand.add(delivery)
        self._hands[tenant] += 1
        self._weights[tenant] = delivery.work.weight
        return delivery

    def _count_time(self) -> None:
        """What is in hand keeps workers busy: counted as it goes, so that who comes begins where the others are now."""
        now = self._monotonic()
        elapsed, self._counted_at = now - self._counted_at, now
        for tenant, number in self._hands.items():
            self._turns.used(tenant, number * elapsed, self._weights[tenant])

    def _weight(self, tenant: str) -> int:
        """As the work says that is next."""
        of_job = next(iter(self._tenants[tenant].values()))
        return of_job[0].work.weight

    def _note_filled(self) -> None:
        if self._tenants or self._error:
            self._filled.set()
        else:
            self._filled.clear()
