"""The audit log: an entry is written in the transaction of the deed itself, so there is neither without the other.

Rows are only added; the tables' own triggers refuse the rest, whoever asks.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import ColumnElement, RowMapping, func, literal, select, text

from app.models.audit import AuditEntry
from app.models.audit_views import AuditEntryView, AuditFilter, AuditPage
from app.models.errors import BadCursorError
from app.store.cursors import AuditCursor, decode, encode
from app.store.database import Transaction
from app.store.finality import Final, look
from app.store.job_view import moment
from app.store.schema import audit_log
from app.telemetry.redaction import clean_text

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_TEXT = 200
"""Characters of one text of an entry."""

NUMBERS_A_LOOK = 20_000
"""Entries of others in between are skipped by reading them; so many are a short read."""

SKEW_SECONDS = 120.0
"""Entries stand in the order in which they were written, with the times at which their transactions began: none of
ours takes longer, but for those that bring over a whole store."""

_COLUMNS = ("at", "tenant", "actor", "action", "subject", "address", "request_id", "detail")


def record(transaction: Transaction, *entries: AuditEntry) -> None:
    """Write down what this transaction has done. It must have written something before: see `finality`."""
    transaction.insert_tuples(audit_log, _COLUMNS, [_row(transaction.now, entry) for entry in entries])


def note(transaction: Transaction, entry: AuditEntry) -> None:
    """Write down what may have left no other trace in the store."""
    if transaction.connection.dialect.name == "postgresql":
        transaction.connection.execute(_BEGIN_WRITING)
    record(transaction, entry)


_BEGIN_WRITING = text("SELECT pg_current_xact_id()")


def audited(
    work: Callable[Concatenate[Transaction, P], T], entry: AuditEntry | Callable[[T], AuditEntry | None]
) -> Callable[Concatenate[Transaction, P], T]:
    """The work, and with it its entry, or the one that its result makes; None: nothing was done."""

    def recorded(transaction: Transaction, /, *args: P.args, **kwargs: P.kwargs) -> T:
        result = work(transaction, *args, **kwargs)
        made = entry(result) if callable(entry) else entry
        if made is not None:
            note(transaction, made)
        return result

    vars(recorded).update(vars(work))  # its marks: how the database is to run it
    return recorded


def _row(now: float, entry: AuditEntry) -> tuple[object, ...]:
    by = entry.by
    who = _named(entry.tenant), _named(by.actor), entry.action.value
    return now, *who, *map(_harmless, (entry.subject, by.address, by.request_id)), _detail(entry.detail)


_PLAIN = re.compile(r"[0-9a-f:.-]{0,64}")
"""Addresses and ids of our own making, which are most of all texts."""


def _harmless(value: str) -> str:
    """Nothing that steers a terminal or looks like a secret, whoever wrote it."""
    return value if _PLAIN.fullmatch(value) else clean_text(value[:LONGEST_TEXT])


_named = lru_cache(1_000)(_harmless)
"""Of tenants and actors there are few."""


def _detail(detail: Mapping[str, object]) -> str:
    if not detail:
        return "{}"
    told = {name: _harmless(value) if isinstance(value, str) else value for name, value in detail.items()}
    return json.dumps({name: value for name, value in told.items() if value is not None}, separators=(",", ":"))


def read_audit(
    transaction: Transaction, tenant: str | None, wanted: AuditFilter, limit: int, after: str | None
) -> AuditPage:
    """At most `limit` entries of the tenant (None: of all) behind the cursor, in their order. May be fewer, or none,
    although there is more. Raises BadCursorError.
    """
    position = _position(transaction, tenant, wanted, after)
    final = look(transaction, audit_log.c.id, Final(position.settled, position.drawn, position.horizon))
    upto = max(position.after, min(final.settled, position.after + NUMBERS_A_LOOK))
    rows = _between(transaction, _conditions(tenant, wanted), position.after, upto, limit)
    last = rows[-1]["id"] if len(rows) == limit else upto
    begun = final.settled == 0 and final.drawn > 0
    return AuditPage(
        entries=[_view(row) for row in rows],
        next_cursor=encode(AuditCursor(tenant, last, *final)),
        more=begun or last < final.settled,
    )


def newest_entries(transaction: Transaction, tenant: str, limit: int, before: int | None) -> list[AuditEntryView]:
    """At most `limit` entries of the tenant older than the one with this id, newest first."""
    which = [audit_log.c.tenant == tenant]
    if before is not None:
        which.append(audit_log.c.id < before)
    statement = select(audit_log).where(*which).order_by(audit_log.c.id.desc()).limit(limit)
    return [_view(row) for row in transaction.connection.execute(statement).mappings()]


def _position(transaction: Transaction, tenant: str | None, wanted: AuditFilter, after: str | None) -> AuditCursor:
    if after is None:
        first = 0 if wanted.begin is None else _last_before(transaction, wanted.begin - SKEW_SECONDS)
        return AuditCursor(tenant, first)
    position = decode(after, AuditCursor)
    if position.tenant != tenant:
        raise BadCursorError
    return position


def _last_before(transaction: Transaction, at: float) -> int:
    """The id of an entry that is older, so that all younger ones are behind it; found by halving."""
    low, high = 0, transaction.connection.execute(select(func.max(audit_log.c.id))).scalar() or 0
    while low < high:
        middle = (low + high + 1) // 2
        found = select(audit_log.c.at).where(audit_log.c.id <= middle).order_by(audit_log.c.id.desc()).limit(1)
        time = transaction.connection.execute(found).scalar()
        if time is None or time < at:
            low = middle
        else:
            high = middle - 1
    return low


def _conditions(tenant: str | None, wanted: AuditFilter) -> list[ColumnElement[bool]]:
    named = {"tenant": tenant, "action": wanted.action, "actor": wanted.actor, "subject": wanted.subject}
    which = [audit_log.c[name] == str(value) for name, value in named.items() if value is not None]
    return which if wanted.begin is None else [*which, audit_log.c.at >= wanted.begin]


def _between(
    transaction: Transaction, which: Sequence[ColumnElement[bool]], after: int, upto: int, limit: int
) -> Sequence[RowMapping]:
    behind = (audit_log.c.id > literal(after), audit_log.c.id <= literal(upto))
    statement = select(audit_log).where(*which, *behind).order_by(audit_log.c.id).limit(limit)
    return transaction.connection.execute(statement).mappings().all()


def _view(row: RowMapping) -> AuditEntryView:
    told: dict[str, Any] = json.loads(row["detail"])
    names = ("id", "tenant", "actor", "action", "subject", "address", "request_id")
    return AuditEntryView(at=moment(row["at"]), detail=told, **{name: row[name] for name in names})
