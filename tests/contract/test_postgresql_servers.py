"""A DATABASE_URL that names a primary and its standby: the one that takes writes is found, and found again."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from app.store.database import StoreUnavailableError, Transaction
from app.store.postgresql import CONNECT_SECONDS, PostgresDatabase
from app.store.postgresql_servers import one_host_each
from tests.support.own_standby import Pair, running_pair

WRITABLE = "off"


def _read_only(transaction: Transaction) -> str:
    return str(transaction.connection.execute(text("SHOW transaction_read_only")).scalar_one())


@pytest.mark.parametrize(
    ("url", "each"),
    [
        ("postgresql://u:p@h/name", ["postgresql://u:p@h/name"]),
        ("postgresql:///name", ["postgresql:///name"]),
        (
            "postgresql://u:a%40,b@one:5432,[::1]:6543/name?sslmode=require",
            [
                "postgresql://u:a%40,b@one:5432/name?sslmode=require",
                "postgresql://u:a%40,b@[::1]:6543/name?sslmode=require",
            ],
        ),
        ("postgres://one,two/name", ["postgresql://one/name", "postgresql://two/name"]),
    ],
)
def test_each_host_gets_a_url_of_its_own(url: str, each: list[str]) -> None:
    assert [one.replace("%2C", ",") for one in one_host_each(url)] == each


@pytest.fixture
def pair() -> Iterator[Pair]:
    with running_pair() as own:
        yield own


def _standby_first(pair: Pair) -> str:
    start, _, end = pair.url.partition("@")
    hosts, slash, name = end.partition("/")
    return f"{start}@{','.join(reversed(hosts.split(',')))}{slash}{name}"


@pytest.mark.alone
@pytest.mark.postgresql
async def test_the_server_that_takes_writes_is_found_whatever_becomes_of_the_other(pair: Pair) -> None:
    """A standby is passed by; a server that is frozen, as one without power, leaves its successor time to answer."""
    for url in (pair.url, _standby_first(pair)):
        store = PostgresDatabase(url, connections=1)
        await store.start()
        assert await store.read(_read_only) == WRITABLE
        await store.close()
    store = PostgresDatabase(pair.url, connections=1)
    await store.start()
    with pair.primary.frozen():
        pair.promote()
        newcomer = PostgresDatabase(pair.url, connections=1)
        began = time.monotonic()
        await newcomer.start()
        assert time.monotonic() - began < CONNECT_SECONDS
        assert await newcomer.read(_read_only) == WRITABLE
        await newcomer.close()
    pair.primary.kill()
    pair.standby.kill()
    with pytest.raises(StoreUnavailableError):
        await store.read(_read_only)
    await store.close()
