"""The audit log as people read it, and signing in as it is written down."""

from collections import OrderedDict
from dataclasses import dataclass

from app.clock import Clock
from app.models.access import DEFAULT_TENANT
from app.models.audit import Action, AuditEntry, Origin
from app.models.audit_views import AuditEntryView, AuditFilter, AuditPage
from app.store.audit import newest_entries, note, read_audit
from app.store.database import Database, Transaction
from app.store.keys import tenant_of_key

ADDRESS_SECONDS = 60.0
"""An address that goes on failing makes one entry in so long, with how often it failed since the last one."""

ENTRIES_A_MINUTE = 30
"""Of failed attempts, by one process: many addresses together fill the log no faster."""

ADDRESSES = 1_000
"""Remembered; of the others each failure counts as the first."""


class AuditLog:
    """What was done, and by whom."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._failures = Failures(clock)

    async def page(self, tenant: str | None, wanted: AuditFilter, limit: int, after: str | None) -> AuditPage:
        """Entries of the tenant (None: of all) in their order, behind the cursor. Raises BadCursorError."""
        return await self._database.read(read_audit, tenant, wanted, limit, after)

    async def newest(self, tenant: str, limit: int, before: int | None) -> list[AuditEntryView]:
        """Entries of the tenant, newest first, older than the one with this id."""
        return await self._database.read(newest_entries, tenant, limit, before)

    async def signed_in(self, tenant: str, key_id: str | None, by: Origin) -> None:
        """Somebody has begun a session in a browser."""
        await self._database.write(note, AuditEntry(tenant, Action.SIGN_IN, key_id or "", by))

    async def signed_out(self, tenant: str, key_id: str | None, by: Origin) -> None:
        """Somebody has ended it."""
        await self._database.write(note, AuditEntry(tenant, Action.SIGN_OUT, key_id or "", by))

    async def refused(self, key_id: str | None, by: Origin) -> None:
        """Somebody has shown a wrong key. `key_id`: the prefix that it had, if it looked like one of ours.

        Of many failures few are written down, each with how many there were.
        """
        failures = self._failures.count(by.address)
        if failures:
            await self._database.write(_note_refusal, key_id, by, failures)


def _note_refusal(transaction: Transaction, key_id: str | None, by: Origin, failures: int) -> None:
    """For the tenant whose key it would have been, else for that of the operator."""
    tenant = tenant_of_key(transaction, key_id) if key_id else None
    detail = {"failures": failures}
    subject = key_id if key_id and tenant else ""
    note(transaction, AuditEntry(tenant or DEFAULT_TENANT, Action.SIGN_IN_FAILED, subject, by, detail))


@dataclass(slots=True)
class _Address:
    told_at: float
    untold: int = 0


class Failures:
    """Decides which failed attempts are worth an entry."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._minute = -1
        self._entries = 0

    def count(self, address: str) -> int:
        """How many failures of the address an entry is to tell of, this one included; 0: it is not time for one."""
        now = self._clock.monotonic()
        known = self._addresses.pop(address, None) or _Address(now - ADDRESS_SECONDS)
        self._addresses[address] = known
        while len(self._addresses) > ADDRESSES:
            self._addresses.popitem(last=False)
        known.untold += 1
        if now - known.told_at < ADDRESS_SECONDS or not self._may_tell(now):
            return 0
        told, known.untold, known.told_at = known.untold, 0, now
        return told

    def _may_tell(self, now: float) -> bool:
        minute = int(now // 60)
        if minute != self._minute:
            self._minute, self._entries = minute, 0
        self._entries += 1
        return self._entries <= ENTRIES_A_MINUTE
