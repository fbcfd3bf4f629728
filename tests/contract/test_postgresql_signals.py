"""Replicas wake each other over PostgreSQL, and go on doing so after their connections were lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import asyncpg
import pytest

from app.clock import SystemClock
from app.store.signals import CHANNEL, LONGEST_BACKOFF_SECONDS, PAUSE_SECONDS, Signals
from tests.support.clock import ManualClock

pytestmark = pytest.mark.postgresql

Replica = Callable[[], Signals]

TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND application_name LIKE '%signals' ORDER BY backend_start LIMIT $1"
)


@pytest.fixture
async def replica(postgresql_database: str) -> AsyncIterator[Replica]:
    async with AsyncExitStack() as stack:

        def make() -> Signals:
            signals = Signals(postgresql_database, SystemClock())
            stack.push_async_callback(signals.close)
            return signals

        yield make


async def _asleep(clock: ManualClock) -> None:
    while not clock.sleepers:  # noqa: ASYNC110 - the clock tells nobody
        await asyncio.sleep(0)


async def _started(signals: Signals, *topics: str) -> "asyncio.Queue[str]":
    """What the replica hears from now on."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    await signals.start()
    await signals.connected()
    for topic in topics:
        signals.on(topic, lambda topic=topic: heard.put_nowait(topic))  # type: ignore[misc] # bound for each topic
    return heard


async def test_each_replica_hears_the_others_and_not_itself(replica: Replica) -> None:
    first, second = replica(), replica()
    at_first, at_second = await _started(first, "tasks", "outbox"), await _started(second, "tasks", "outbox")
    first.send("tasks")
    assert await at_second.get() == "tasks"
    second.send("outbox")
    assert await at_first.get() == "outbox"
    assert at_first.empty()
    assert at_second.empty()


async def test_a_topic_nobody_asked_for_is_passed_over(replica: Replica) -> None:
    first, second = replica(), replica()
    await _started(first)
    heard = await _started(second, "tasks")
    first.send("weather")
    first.send("tasks")
    assert await heard.get() == "tasks"


async def test_many_hints_within_a_pause_are_one(postgresql_database: str) -> None:
    clock = ManualClock()
    first, second = Signals(postgresql_database, clock), Signals(postgresql_database, SystemClock())
    try:
        await _started(first)
        heard = await _started(second, "tasks")
        first.send("tasks")
        assert await heard.get() == "tasks"
        for _ in range(1000):
            first.send("tasks")
        await _asleep(clock)
        await clock.advance(PAUSE_SECONDS)
        assert await heard.get() == "tasks"
        assert heard.empty()
    finally:
        await first.close()
        await second.close()


async def test_after_a_lost_connection_replicas_hear_each_other_again(
    replica: Replica, postgresql_database: str
) -> None:
    first, second = replica(), replica()
    await _started(first)
    heard = await _started(second, "tasks")
    await _end_connections(postgresql_database, 2)
    assert await heard.get() == "tasks", "whoever was away may have missed something"
    first.send("tasks")
    assert await heard.get() == "tasks"


async def test_what_is_sent_without_a_connection_is_sent_when_there_is_one(postgresql_database: str) -> None:
    clock = ManualClock()
    first, second = Signals(postgresql_database, clock), Signals(postgresql_database, SystemClock())
    try:
        await _started(first)
        heard = await _started(second, "tasks")
        await _end_connections(postgresql_database, 1)
        first.send("tasks")
        await _asleep(clock)
        assert heard.empty()
        while heard.empty():
            await clock.advance(LONGEST_BACKOFF_SECONDS)
    finally:
        await first.close()
        await second.close()


async def test_a_database_that_is_away_fails_neither_start_nor_send_nor_close(unused_tcp_port: int) -> None:
    signals = Signals(f"postgresql://nobody:secret@127.0.0.1:{unused_tcp_port}/nowhere", ManualClock())
    await signals.start()
    signals.send("tasks")
    await signals.close()


async def test_notifications_of_others_on_the_channel_are_no_trouble(
    replica: Replica, postgresql_database: str
) -> None:
    heard = await _started(replica(), "tasks")
    stranger = await asyncpg.connect(postgresql_database)
    await stranger.execute(f"NOTIFY {CHANNEL}; NOTIFY {CHANNEL}, 'tasks'")
    await stranger.close()
    assert await heard.get() == "tasks"


async def _end_connections(url: str, count: int) -> None:
    """Of the replicas that connected first."""
    administrator = await asyncpg.connect(url)
    assert await administrator.fetch(TERMINATE, count) == [(True,)] * count
    await administrator.close()
