"""Who leads: one row for each kind of work that only one replica may do, a lease by the database's time.

A lease and not a lock of the session: a process that is stopped keeps its locks, but its lease runs out.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Double, Text, bindparam, delete, exists, literal, or_, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from app.store.database import HotStatement, Transaction
from app.store.schema import leaders

_what = bindparam("what", type_=Text)
_who = bindparam("who", type_=Text)
_now = bindparam("now", type_=Double)
_until = bindparam("until", type_=Double)


def _taking(insert: Callable[..., Any]) -> HotStatement:
    """Who stands by only reads: a lease that is seen to run is not even locked, and nothing is to be committed."""
    others = select(literal(1)).where(leaders.c.name == _what, leaders.c.holder != _who, leaders.c.lease_until > _now)
    statement = insert(leaders).from_select(
        ["name", "holder", "lease_until"], select(_what, _who, _until).where(~exists(others))
    )
    # Another may have taken it between the look above and the lock: the row as it is then decides.
    free = or_(leaders.c.holder == _who, leaders.c.lease_until <= _now)
    values = {"holder": statement.excluded.holder, "lease_until": statement.excluded.lease_until}
    return HotStatement(statement.on_conflict_do_update(index_elements=[leaders.c.name], set_=values, where=free))


_take = {"postgresql": _taking(postgresql_insert), "sqlite": _taking(sqlite_insert)}
_until_free = HotStatement(select(leaders.c.lease_until).where(leaders.c.name == _what))
_free = HotStatement(delete(leaders).where(leaders.c.name == _what, leaders.c.holder == _who))


def lead(transaction: Transaction, name: str, holder: str, seconds: float) -> bool:
    """Take the lead in `name`, or keep it, for `seconds` from the transaction's start. False: another's lease runs."""
    values = {"what": name, "who": holder, "now": transaction.now, "until": transaction.now + seconds}
    return _take[transaction.connection.dialect.name].execute(transaction, values).rowcount > 0


def free_in(transaction: Transaction, name: str) -> float:
    """Seconds until the lease in `name` runs out if nobody renews it; 0: it is free."""
    until: float | None = _until_free.execute(transaction, {"what": name}).scalar()
    return 0.0 if until is None else max(0.0, until - transaction.now)


def step_down(transaction: Transaction, name: str, holder: str) -> None:
    """Free the lead in `name` at once; one that another has taken meanwhile stays."""
    _free.execute(transaction, {"what": name, "who": holder})
