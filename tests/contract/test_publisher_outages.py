"""The publisher while its Kafka dies or freezes: it waits, ends when it is told to, and doubles nothing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.store.database import Database, Transaction
from app.store.schema import outbox
from tests.support.announcing import held_locations, settle_page, stored_reviews, walk_all
from tests.support.own_kafka import OwnKafka, running_kafka
from tests.support.publishing import Site, leading, running, until
from tests.support.store import review, sqlite_database

pytestmark = [pytest.mark.alone, pytest.mark.kafka]

FEW_SECONDS = 3.0
STOP_SECONDS = 8.0
"""The batch on its way has 5 s, its end 2 s more."""


@pytest.fixture(scope="module")
def kafka() -> Iterator[OwnKafka]:
    with running_kafka() as own:
        yield own


@pytest.fixture
async def site(kafka: OwnKafka, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    await asyncio.to_thread(kafka.start)
    async with sqlite_database(tmp_path) as store:
        made = Site(store, kafka.connection.bootstrap_servers, f"{request.node.name[:60]}-")
        await made.create_topics()
        yield made


async def test_a_broker_that_is_killed_and_started_again_gets_each_review_once(kafka: OwnKafka, site: Site) -> None:
    tasks = await held_locations(site.store, 6)
    async with leading(site.publisher(deadline=FEW_SECONDS)) as publishing:
        for round_ in range(2):
            walking = [settle_page(site.store, task, [review(f"{round_}-{n}") for n in range(20)]) for task in tasks]
            await asyncio.gather(asyncio.to_thread(kafka.kill), *walking)
            await asyncio.to_thread(kafka.start)
            await until(site.all_sent, publishing)
    published = await site.keys()
    assert published == await site.store.read(stored_reviews)
    assert set(published.values()) == {1}


async def test_a_publisher_ends_in_time_while_its_broker_is_frozen(kafka: OwnKafka, site: Site) -> None:
    await walk_all(site.store, await held_locations(site.store, 2), 2)
    publisher = site.publisher(deadline=FEW_SECONDS)
    async with running(publisher) as publishing:
        await until(site.all_sent, publishing)
        (task,) = await held_locations(site.store, 1)
        with kafka.frozen():
            await settle_page(site.store, task, [review("late")])
            publisher.wake()
            await until(lambda: _all_is_stamped(site.store), publishing)
            publishing.cancel()
            done, _ = await asyncio.wait((publishing,), timeout=STOP_SECONDS)
            assert done, f"not ended after {STOP_SECONDS:g} s"
    async with running(site.publisher()) as publishing:
        await until(site.all_sent, publishing)
    assert set((await site.keys()).values()) == {1}
    assert await site.keys() == await site.store.read(stored_reviews)


async def _all_is_stamped(store: Database) -> bool:
    return await store.read(_unstamped) == 0


def _unstamped(transaction: Transaction) -> int:
    statement = select(func.count()).select_from(outbox).where(outbox.c.position.is_(None))
    return int(transaction.connection.execute(statement).scalar_one())


async def test_a_publisher_outlives_a_frozen_broker(kafka: OwnKafka, site: Site) -> None:
    """Frozen for longer than the deadline and than Kafka's own timeout of a transaction; fenced then, it leads anew."""
    (task,) = await held_locations(site.store, 1)
    async with leading(site.publisher(deadline=FEW_SECONDS)) as publishing:
        await settle_page(site.store, task, [review("a")])
        await until(site.all_sent, publishing)
        with kafka.frozen():
            await settle_page(site.store, task, [review("b")])
            await asyncio.wait((publishing,), timeout=2 * FEW_SECONDS)
        await until(site.all_sent, publishing)
    assert await site.keys() == await site.store.read(stored_reviews)
    assert set((await site.keys()).values()) == {1}
