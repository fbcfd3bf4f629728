"""What a tenant may submit, held to by all replicas together: its row in `submit_rates` is locked while it is decided.

The rate is the generic cell rate algorithm (ITU-T I.371) with a burst of a whole minute's submissions: one number a
tenant, written once for all of its jobs in a transaction.
"""

from collections.abc import Collection, Mapping
from math import floor

from sqlalchemy import func, literal, select, update

from app.models.job import OPEN
from app.models.limits import NO_LIMITS, LimitState, Refusal, SubmitLimits
from app.store.database import Transaction
from app.store.schema import jobs, status_in, submit_rates
from app.store.tenants import NO_SETTINGS, TenantSettings, settings_of

MINUTE = 60.0

OPEN_AGAIN_SECONDS = 30.0
"""When one of a tenant's jobs ends is not known: asking twice a minute costs little."""

_ROUNDING = 1e-6
"""Times are seconds since 1970 as floats: a tenth of a microsecond is lost in them."""


def limits_in_force(transaction: Transaction, names: Collection[str], service: SubmitLimits) -> dict[str, SubmitLimits]:
    """Tenant → its limits, for those of `names` that have any. `service`: for tenants without limits of their own."""
    own = settings_of(transaction, names)
    found = {name: limits_of(own.get(name, NO_SETTINGS), service) for name in sorted(names)}
    return {name: limits for name, limits in found.items() if limits != NO_LIMITS}


def limits_of(own: TenantSettings, service: SubmitLimits) -> SubmitLimits:
    """The limits of a tenant with these settings of its own."""
    most, rate = own.max_open_jobs, own.submits_per_minute
    return SubmitLimits(
        service.max_open_jobs if most is None else most, service.submits_per_minute if rate is None else rate
    )


class SubmitGate:
    """One tenant's limits in one transaction; whoever else decides about the tenant waits until it ends."""

    def __init__(self, transaction: Transaction, tenant: str, limits: SubmitLimits) -> None:
        self._transaction = transaction
        self._limits = limits
        self._row = submit_rates.c.tenant == tenant
        transaction.insert_ignore(submit_rates, [{"tenant": tenant, "arrival_at": 0.0}])
        locked = select(submit_rates.c.arrival_at).where(self._row).with_for_update()
        self._arrival: float = transaction.connection.execute(locked).scalar_one()
        self._now = transaction.clock()
        self._open = _count_open(transaction, tenant, limits.max_open_jobs)

    def admit(self) -> Refusal | None:
        """Take one more job in, or say why not."""
        most, rate = self._limits
        if most and self._open >= most:
            reason = f"This tenant may have {most:,} open jobs, and has them. Send the request again when one has ended"
            return Refusal(f"{reason}; Retry-After is a guess.", OPEN_AGAIN_SECONDS)
        if rate:
            arrival = max(self._arrival, self._now) + MINUTE / rate
            if (early := arrival - self._now - MINUTE) > _ROUNDING:
                reason = (
                    f"This tenant may submit {rate:,} jobs a minute. Send the request again after Retry-After seconds."
                )
                return Refusal(reason, early)
            self._arrival = arrival
        self._open += 1
        return None

    def states(self) -> tuple[LimitState, ...]:
        """As they are after what was admitted so far."""
        most, rate = self._limits
        found = []
        if rate:
            ahead = max(0.0, self._arrival - self._now)
            left = max(0, floor((MINUTE - ahead) * rate / MINUTE + _ROUNDING))
            found.append(LimitState("submits", rate, left, int(MINUTE), ahead))
        if most:
            found.append(LimitState("open-jobs", most, max(0, most - self._open)))
        return tuple(found)

    def write(self) -> None:
        if self._limits.submits_per_minute:
            self._transaction.connection.execute(update(submit_rates).where(self._row).values(arrival_at=self._arrival))


def _count_open(transaction: Transaction, tenant: str, up_to: int) -> int:
    """No further than it matters."""
    if not up_to:
        return 0
    which = (jobs.c.tenant == tenant, status_in(jobs.c.status, OPEN))
    some = select(literal(1)).select_from(jobs).where(*which).limit(up_to).subquery()
    return int(transaction.connection.execute(select(func.count()).select_from(some)).scalar_one())


def gates(transaction: Transaction, limits: Mapping[str, SubmitLimits]) -> dict[str, SubmitGate]:
    """By name, as all others lock them."""
    return {tenant: SubmitGate(transaction, tenant, limits[tenant]) for tenant in sorted(limits)}
