"""The servers that `DATABASE_URL` names: one, or a primary and its standbys, of which one takes writes.

asyncpg knows several hosts too, but gives all of them one time: a first host that lost its power would use it up, and
one that is starting would end the search. Here each host has its own share of it.
"""

import re
from collections.abc import Sequence
from typing import Any

import asyncpg
from sqlalchemy.engine import make_url

_HOSTS = re.compile(r"^(?P<before>\w+://(?:[^:/@]*(?::[^@]*)?@)?)(?P<hosts>[^/?#]*)(?P<after>.*)$", re.DOTALL)

_NEXT = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Why another host may do better: nobody there, starting, a standby."""

WRITABLE = "read-write"


class Servers:
    """A connection to the one that takes writes. Whoever had it last is asked first."""

    def __init__(self, url: str) -> None:
        self._urls = one_host_each(url)
        self._last = 0

    async def connect(self, timeout: float, **options: Any) -> asyncpg.Connection:
        """Within `timeout` seconds; raises what the last host that was asked says, as `asyncpg.connect` would."""
        if len(self._urls) > 1 and "target_session_attrs=" not in self._urls[0]:
            options["target_session_attrs"] = WRITABLE
        share = timeout / len(self._urls)
        *others, last = self._order()
        for number in others:
            try:
                return await self._ask(number, share, options)
            except _NEXT:
                continue
        return await self._ask(last, share, options)

    def _order(self) -> Sequence[int]:
        count = len(self._urls)
        return [(self._last + step) % count for step in range(count)]

    async def _ask(self, number: int, timeout: float, options: dict[str, Any]) -> asyncpg.Connection:
        connection = await asyncpg.connect(self._urls[number], timeout=timeout, **options)
        self._last = number
        return connection


def one_host_each(url: str) -> list[str]:
    """`postgresql://…@a:5432,b:5432/name` as one URL for each host. ValueError for what is no URL of a database."""
    found = _HOSTS.match(url)
    if found is None:
        raise ValueError("this is no URL of a database")
    each = [f"{found['before']}{host}{found['after']}" for host in found["hosts"].split(",")]
    return [make_url(one).set(drivername="postgresql").render_as_string(hide_password=False) for one in each]
