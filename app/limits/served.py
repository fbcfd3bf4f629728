"""What each tenant got of a budget, told to all replicas: pure functions over a part of the budget's state.

Each replica serves those that wait there. Who waits at one of them only, because its work arrived there, would get its
part of that one's calls and no more; so each adds what a tenant got from others to its own account of it (as
distributed start-time fair queueing does: Wang and Merchant, 2007).
"""

from collections.abc import Mapping
from typing import NamedTuple

MOST_TENANTS = 100
"""Of one Google project at once. Of more than these, those that called last are shared between replicas."""

FORGOTTEN_SECONDS = 30.0
"""A tenant that has not called for so long has nothing to be told of."""

ROUNDING = 0.01
"""An amount is kept to a thousandth."""


class Served(NamedTuple):
    """Calls, each divided by the tenant's weight, and when the last of them was told of (epoch seconds)."""

    amount: float
    at: float


Account = dict[str, Served]
"""By tenant."""


def counted(account: Mapping[str, Served], given: Mapping[str, float], now: float) -> Account:
    """The account with what one replica has given since it told the last time."""
    kept = {tenant: served for tenant, served in account.items() if abs(now - served.at) < FORGOTTEN_SECONDS}
    for tenant, amount in given.items():
        before = kept.pop(tenant, Served(0.0, now))
        kept[tenant] = Served(round(before.amount + amount, 3), now)
    return dict(list(kept.items())[-MOST_TENANTS:])


def elsewhere(
    seen: Mapping[str, Served], account: Mapping[str, Served], given: Mapping[str, float]
) -> dict[str, float]:
    """What others gave each tenant between two looks at the account, of which the second has what was `given` here."""
    gained = {tenant: of.amount - seen.get(tenant, Served(0.0, 0.0)).amount for tenant, of in account.items()}
    by_others = {tenant: amount - given.get(tenant, 0.0) for tenant, amount in gained.items()}
    return {tenant: amount for tenant, amount in by_others.items() if amount > ROUNDING}
