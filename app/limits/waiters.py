"""Who waits for the calls of a budget: tenants by their weight, each tenant's own in the order in which they came."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from app.fair import FairTurns
from app.limits.permits import Permit, Wait
from app.limits.served import MOST_TENANTS, Account, elsewhere

CREDIT_CALLS = 2.0
"""A tenant with few places may have none of its calls in the queue just when others are served."""

DEBT_CALLS = 10.0
"""So much of what another tenant got elsewhere is made up for, at most: a second or so of a busy replica."""


class Tenant(NamedTuple):
    """For whom a call is made, and the share of the calls that this tenant has beside others."""

    name: str
    weight: int


@dataclass(slots=True, eq=False)
class Waiter:
    """Someone in the queue until `deadline`, who came when `round` shares had been asked for."""

    deadline: float
    round: int
    tenant: Tenant
    answer: "asyncio.Future[Permit | Wait]"


class Waiters:
    """The queue before a gate."""

    def __init__(self) -> None:
        self._of: dict[str, deque[Waiter]] = {}
        self._turns = FairTurns(CREDIT_CALLS, DEBT_CALLS)
        self._given: defaultdict[str, float] = defaultdict(float)
        self._seen: Account = {}

    def __len__(self) -> int:
        return sum(len(of_tenant) for of_tenant in self._of.values())

    def __bool__(self) -> bool:
        return bool(self._of)

    def __iter__(self) -> Iterator[Waiter]:
        return chain.from_iterable(self._of.values())

    def append(self, waiter: Waiter) -> None:
        name = waiter.tenant.name
        if name not in self._of:
            self._turns.joins(name, self._of.keys())
            self._of[name] = deque()
        self._of[name].append(waiter)

    def pop_next(self) -> Waiter:
        """Whose turn it is, if anybody waits. A call that is given after all is told by `note_call`."""
        waiter = self._of[self._turns.first(self._of.keys())][0]
        self.remove(waiter)
        return waiter

    def note_call(self, tenant: Tenant) -> None:
        self._turns.used(tenant.name, 1.0, tenant.weight)
        if tenant.name in self._given or len(self._given) < MOST_TENANTS:
            self._given[tenant.name] += 1.0 / tenant.weight

    def take_given(self) -> dict[str, float]:
        """What each tenant got since the last time, each call divided by its weight: now told to the store."""
        given, self._given = dict(self._given), defaultdict(float)
        return given

    def note_others(self, account: Account, given: Mapping[str, float]) -> None:
        """The account of all replicas, which has what was `given` here: whom others served is served later."""
        for name, amount in elsewhere(self._seen, account, given).items() if self._seen else ():
            self._turns.used(name, amount, 1)
        self._seen = account

    def remove(self, waiter: Waiter) -> None:
        """Raises ValueError unless it waits here."""
        of_tenant = self._of.get(waiter.tenant.name, deque())
        of_tenant.remove(waiter)
        if not of_tenant:
            del self._of[waiter.tenant.name]

    def clear(self) -> None:
        self._of.clear()
