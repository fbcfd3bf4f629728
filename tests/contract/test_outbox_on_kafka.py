"""reviews-raw exactly once: an outbox in PostgreSQL, positions under one lock, the watermark in Kafka's transaction."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from itertools import cycle

import asyncpg
import pytest
from confluent_kafka import KafkaException
from sqlalchemy import select, text

from app.models.job import HeldTask, Stage, TaskStatus
from app.models.review import Account, Location
from app.models.settlement import Move, Settlement, SettleOptions
from app.store.database import Transaction
from app.store.migrate import migrate
from app.store.postgresql import PostgresDatabase
from app.store.schema import outbox, reviews
from app.store.settle import settle
from tests.support.kafka import create_topic, own_topics, read
from tests.support.locks import until_somebody_waits
from tests.support.store import new_job, review, take
from tests.support.thin_publisher import Fate, Page, ThinPublisher, create_head, pages_after, stamp

pytestmark = pytest.mark.postgresql

OPTIONS = SettleOptions(announce=True, token_wait=3600.0)
LOCATIONS = 12
PAGES = 8
EVERYTHING = 1_000_000


@pytest.fixture
async def store(postgresql_database: str) -> AsyncIterator[PostgresDatabase]:
    opened = PostgresDatabase(postgresql_database)
    await opened.start()
    await opened.write(migrate)
    await opened.write(create_head)
    yield opened
    await opened.close()


async def _tasks(store: PostgresDatabase, number: int = LOCATIONS) -> list[HeldTask]:
    """A job with so many locations, all their tasks held."""
    await new_job(store)
    (accounts,) = await take(store, Stage.ACCOUNTS)
    account = [Account("accounts/1", "Shops")]
    await store.write(settle, Settlement(accounts, Move(TaskStatus.DONE), page=True, accounts=account), OPTIONS)
    (listing,) = await take(store, Stage.LOCATIONS)
    places = [Location(f"locations/{place}", "Shop", None, None, True) for place in range(number)]
    await store.write(settle, Settlement(listing, Move(TaskStatus.DONE), page=True, locations=places), OPTIONS)
    return await take(store, Stage.REVIEWS)


async def _walk(store: PostgresDatabase, task: HeldTask) -> list[int]:
    """Settle all pages of a location, each half of what the page before held; how many reviews of each were new."""
    new = []
    for page in range(PAGES):
        found = [review(f"{number}") for number in range(5 * page, 5 * page + 10)]
        going_on = Settlement(task, Move(TaskStatus.HELD, f"page-{page}"), page=True, reviews=found)
        settled = await store.write(settle, going_on, OPTIONS)
        task.version = settled.version
        new.append(settled.new_reviews)
    return new


async def _walk_all(store: PostgresDatabase, tasks: list[HeldTask]) -> list[list[int]]:
    return await asyncio.gather(*(_walk(store, task) for task in tasks))


def _all_reviews(transaction: Transaction) -> Counter[str]:
    rows = transaction.connection.execute(select(reviews.c.location_no, reviews.c.review_id))
    return Counter(f"{location}/{review_id}" for location, review_id in rows)


async def _published(bootstrap_servers: str, topic: str) -> Counter[str]:
    messages = await read(bootstrap_servers, topic)
    return Counter((message.key() or b"").decode() for message in messages)


def _stamped_pages(transaction: Transaction) -> list[Page]:
    stamp(transaction)
    return pages_after(transaction, 0, EVERYTHING)


async def test_an_outbox_row_names_exactly_the_new_rows_of_its_page(store: PostgresDatabase) -> None:
    new = await _walk_all(store, await _tasks(store))
    pages = await store.write(_stamped_pages)
    assert Counter(len(page.reviews) for page in pages) == Counter(number for walk in new for number in walk)
    announced = Counter(f"{place}/{review_id}" for page in pages for place, review_id in page.reviews)
    assert announced == await store.read(_all_reviews)
    assert set(announced.values()) == {1}


async def test_review_numbers_are_drawn_one_by_one(store: PostgresDatabase) -> None:
    """Were they handed to connections in blocks, the range of one page could hold a row of the location's next."""

    def cache(transaction: Transaction) -> int:
        sequence = (
            "SELECT seqcache FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence('reviews', 'seq')::regclass"
        )
        return int(transaction.connection.execute(text(sequence)).scalar_one())

    assert await store.read(cache) == 1


async def test_positions_follow_visibility_where_ids_do_not(store: PostgresDatabase, postgresql_database: str) -> None:
    (early,) = await _tasks(store, 1)
    (late,) = await _tasks(store, 1)
    other = await asyncpg.connect(postgresql_database)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT 1 FROM jobs WHERE id = $1 FOR UPDATE", early.job_id)
    page = Settlement(early, Move(TaskStatus.HELD, "next"), page=True, reviews=[review("early")])
    settling = asyncio.create_task(store.write(settle, page, OPTIONS))
    await until_somebody_waits(other)
    page = Settlement(late, Move(TaskStatus.HELD, "next"), page=True, reviews=[review("late")])
    await store.write(settle, page, OPTIONS)
    first = await store.write(_stamped_pages)
    await transaction.commit()
    await other.close()
    await settling
    both = await store.write(_stamped_pages)
    assert [[review_id for _, review_id in page.reviews] for page in first] == [["late"]]
    assert [[review_id for _, review_id in page.reviews] for page in both] == [["late"], ["early"]]

    def positions_by_id(transaction: Transaction) -> list[int]:
        return list(transaction.connection.execute(select(outbox.c.position).order_by(outbox.c.id)).scalars())

    assert await store.read(positions_by_id) == [2, 1], "a cursor over ids would never have seen the early page"


@pytest.mark.kafka
async def test_each_review_is_published_once_however_the_publisher_dies(
    store: PostgresDatabase, kafka_bootstrap_servers: str
) -> None:
    async with own_topics(kafka_bootstrap_servers) as prefix:
        topic = f"{prefix}reviews-raw"
        await create_topic(kafka_bootstrap_servers, topic)
        walking = asyncio.create_task(_walk_all(store, await _tasks(store)))
        reached = await _publish_with_every_fate(store, kafka_bootstrap_servers, topic, walking)
        assert set(reached) == set(Fate)
        published = await _published(kafka_bootstrap_servers, topic)
        assert published == await store.read(_all_reviews)
        assert set(published.values()) == {1}


async def _publish_with_every_fate(
    store: PostgresDatabase, bootstrap_servers: str, topic: str, walking: "asyncio.Task[list[list[int]]]"
) -> Counter[Fate]:
    """Publish until the walk is over and nothing is left; every life ends with its batch, some of them badly."""
    reached: Counter[Fate] = Counter()
    fates = cycle(Fate)
    while True:
        over = walking.done()
        publisher = ThinPublisher(store, bootstrap_servers, topic, topic)
        await publisher.start()
        fate = next(fates)
        published = await publisher.publish(16, fate)
        publisher.close()
        if published:
            reached[fate] += 1
        elif over:
            await walking
            return reached


@pytest.mark.kafka
async def test_a_publisher_that_wakes_after_another_took_its_place_commits_nothing(
    store: PostgresDatabase, kafka_bootstrap_servers: str
) -> None:
    await _walk_all(store, await _tasks(store))
    async with own_topics(kafka_bootstrap_servers) as prefix:
        topic = f"{prefix}reviews-raw"
        await create_topic(kafka_bootstrap_servers, topic)
        stopped, successor = (ThinPublisher(store, kafka_bootstrap_servers, topic, topic) for _ in range(2))
        await stopped.start()
        await stopped.publish(9, Fate.KILLED_BEFORE_ITS_COMMIT)
        await successor.start()
        assert await successor.publish(EVERYTHING) == LOCATIONS * PAGES
        with pytest.raises(KafkaException, match="FENCED"):
            await stopped.wake_and_commit()
        assert await _published(kafka_bootstrap_servers, topic) == await store.read(_all_reviews)
        stopped.close()
        successor.close()
