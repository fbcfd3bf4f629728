"""The least publisher of reviews-raw that sends each review once: it proves the outbox's shape, and is no product.

Positions are stamped under the lock of one head row, so they follow the order in which pages became visible. A batch
is one Kafka transaction, and the last position of it is committed as a group offset inside.
"""

import asyncio
from collections.abc import Callable
from enum import Enum
from itertools import groupby
from typing import NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition
from sqlalchemy import text

from app.store.database import Database, Transaction
from tests.support.kafka import SECONDS

HEAD = "CREATE TABLE publisher_head (position BIGINT NOT NULL)", "INSERT INTO publisher_head VALUES (0)"


class Fate(Enum):
    """What becomes of a batch."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    KILLED_BEFORE_ITS_OFFSET = "killed before its offset"
    KILLED_BEFORE_ITS_COMMIT = "killed before its commit"
    KILLED_AFTER_ITS_COMMIT = "killed after its commit"


class Page(NamedTuple):
    """One outbox row and what it announces: `reviews` are (location's number, review id)."""

    position: int
    reviews: list[tuple[int, str]]


def create_head(transaction: Transaction) -> None:
    for statement in HEAD:
        transaction.connection.execute(text(statement))


def stamp(transaction: Transaction) -> int:
    """Number the committed rows that have no position yet; returns how many."""
    head = transaction.connection.execute(text("SELECT position FROM publisher_head FOR UPDATE")).scalar_one()
    stamped = transaction.connection.execute(
        text(
            "UPDATE outbox SET position = :head + fresh.place FROM"
            " (SELECT id, row_number() OVER (ORDER BY id) AS place FROM outbox WHERE position IS NULL) AS fresh"
            " WHERE outbox.id = fresh.id"
        ),
        {"head": head},
    ).rowcount
    transaction.connection.execute(text("UPDATE publisher_head SET position = position + :n"), {"n": stamped})
    return stamped


def pages_after(transaction: Transaction, position: int, limit: int) -> list[Page]:
    """The next outbox rows by position, each with the rows of `reviews` that it names."""
    rows = transaction.connection.execute(
        text(
            "SELECT page.position, page.location_no, reviews.review_id"
            " FROM (SELECT * FROM outbox WHERE position > :position ORDER BY position LIMIT :limit) AS page"
            " JOIN reviews ON reviews.seq BETWEEN page.first_seq AND page.last_seq"
            " AND reviews.location_no = page.location_no ORDER BY page.position, reviews.seq"
        ),
        {"position": position, "limit": limit},
    ).all()
    grouped = groupby(rows, key=lambda row: int(row[0]))
    return [Page(place, [(row[1], row[2]) for row in group]) for place, group in grouped]


class ThinPublisher:
    """One life of the publisher; the next begins with a new object and the same `name`."""

    def __init__(self, store: Database, bootstrap_servers: str, topic: str, name: str) -> None:
        self._store = store
        self._topic = topic
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap_servers,
                "transactional.id": name,
                "transaction.timeout.ms": 10_000,
                "compression.type": "zstd",
            }
        )
        self._group = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": name, "enable.auto.commit": False})
        self._position = 0

    async def start(self) -> None:
        """Fence whoever had the name and abort what it left, and only then ask how far it came."""
        await asyncio.to_thread(self._producer.init_transactions, SECONDS)
        watermark = TopicPartition(self._topic, 0)
        (committed,) = await asyncio.to_thread(self._group.committed, [watermark], SECONDS)
        self._position = max(committed.offset, 0)

    async def publish(self, limit: int, fate: Fate = Fate.COMMITTED) -> int:
        """The next pages in one transaction; returns how many there were."""
        await self._store.write(stamp)
        pages = await self._store.read(pages_after, self._position, limit)
        if pages:
            await asyncio.to_thread(self._send, pages, fate)
        return len(pages)

    async def wake_and_commit(self) -> None:
        """What a process does that was stopped before its commit and goes on after another took its place."""
        await asyncio.to_thread(self._producer.commit_transaction, SECONDS)

    def _send(self, pages: list[Page], fate: Fate) -> None:
        self._producer.begin_transaction()
        for page in pages:
            for location, review_id in page.reviews:
                self._producer.produce(self._topic, str(page.position), f"{location}/{review_id}")
        assert self._producer.flush(SECONDS) == 0
        last = pages[-1].position
        for step in self._steps(last, fate):
            step()
        if fate in (Fate.COMMITTED, Fate.KILLED_AFTER_ITS_COMMIT):
            self._position = last

    def _steps(self, last: int, fate: Fate) -> list[Callable[[], None]]:
        def send_watermark() -> None:
            watermark = [TopicPartition(self._topic, 0, last)]
            self._producer.send_offsets_to_transaction(watermark, self._group.consumer_group_metadata(), SECONDS)

        def commit() -> None:
            self._producer.commit_transaction(SECONDS)

        def abort() -> None:
            self._producer.abort_transaction(SECONDS)

        return {
            Fate.COMMITTED: [send_watermark, commit],
            Fate.ABORTED: [send_watermark, abort],
            Fate.KILLED_BEFORE_ITS_OFFSET: [],
            Fate.KILLED_BEFORE_ITS_COMMIT: [send_watermark],
            Fate.KILLED_AFTER_ITS_COMMIT: [send_watermark, commit],
        }[fate]

    def close(self) -> None:
        self._group.close()
