"""A window divided between tenants by weight: pure arithmetic over what each has out already.

Whoever has least out for its weight is next. A tenant may fill only so much of the window as is still free, by its
weight: so there is always room for one that comes, and what the others do not use is the next one's (the dynamic
thresholds of shared-memory switches: Choudhury and Hahne, 1998). Alone it has half of the window, of two equal ones
each has a third.
"""

import heapq
from collections.abc import Mapping
from typing import NamedTuple


class Claim(NamedTuple):
    """What a tenant has: its weight, its tasks that are released and not claimed yet, and those with workers too."""

    weight: int
    released: int
    out: int

    def more(self, number: int) -> "Claim":
        return self._replace(released=self.released + number, out=self.out + number)


def divide(claims: Mapping[str, Claim], room: int, average: float) -> dict[str, int]:
    """Tenant → how many more tasks it may release, none for more than `room` together; those without are left out.

    `average` is the average weight of all tenants that have work. Equals come in their order.
    """
    given: dict[str, int] = {}
    queue = [_place(claim, 0, number, tenant) for number, (tenant, claim) in enumerate(claims.items())]
    heapq.heapify(queue)
    while queue and room > 0:
        *_, number, tenant = heapq.heappop(queue)
        claim, has = claims[tenant], given.get(tenant, 0)
        if claim.released + has >= max(1.0, claim.weight / average * room):
            continue  # what is free only shrinks
        given[tenant] = has + 1
        room -= 1
        heapq.heappush(queue, _place(claim, has + 1, number, tenant))
    return given


def _place(claim: Claim, given: int, number: int, tenant: str) -> tuple[float, int, str]:
    return (claim.out + given + 1) / claim.weight, number, tenant
