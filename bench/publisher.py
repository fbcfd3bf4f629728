"""The publisher alone: `python -m bench.publisher [--reviews N]`, an outbox full of pages to a committed topic.

Needs a real PostgreSQL and a real Kafka (`make services`, or DATABASE_URL and KAFKA_BOOTSTRAP_SERVERS). It fills a
database of its own, publishes it to topics of its own, counts what a read_committed reader finds, and takes both away.
"""

import argparse
import asyncio
import resource
import time

from sqlalchemy import text

from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.topics import KafkaTopics
from app.clock import SystemClock
from app.results.publisher import ReviewPublisher
from app.store.database import Transaction, takes_long
from app.store.migrate import migrate
from app.store.outbox import lag
from app.store.postgresql import PostgresDatabase
from tests.support.kafka import GroupOffset, count_committed, own_topics
from tests.support.services import Services, fresh_database

PAGE = 50
LOCATIONS = 200
"""Google's page; reviews of a location lie side by side, pages of different locations take turns."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reviews", type=int, default=300_000, help="how many (default: %(default)s)")
    reviews = parser.parse_args().reviews // (PAGE * LOCATIONS) * PAGE * LOCATIONS
    services = Services.from_environment()
    try:
        with fresh_database(services.locate("postgresql")) as url:
            asyncio.run(measure(url, services.locate("kafka"), reviews))
    finally:
        services.end()


async def measure(url: str, bootstrap_servers: str, reviews: int) -> None:
    database = PostgresDatabase(url)
    await database.start()
    try:
        await database.write(migrate)
        await database.write(fill, reviews)
        async with own_topics(bootstrap_servers) as prefix:
            await publish(database, bootstrap_servers, prefix, reviews)
    finally:
        await database.close()


async def publish(database: PostgresDatabase, bootstrap_servers: str, prefix: str, reviews: int) -> None:
    clock, connection, layout = SystemClock(), KafkaConnection(bootstrap_servers), TopicLayout()
    topics = KafkaTopics(connection, layout, clock, prefix=prefix, deadline=20.0)
    await asyncio.to_thread(topics.prepare)
    publisher = ReviewPublisher(database, connection, f"{prefix}bench", clock, layout=layout, topic_prefix=prefix)
    spent, began = cpu(), time.perf_counter()
    running = asyncio.create_task(publisher.run())
    committed = GroupOffset(bootstrap_servers, f"{prefix}bench-publisher", f"{prefix}reviews-raw")
    while not running.done() and await asyncio.to_thread(committed.read) < reviews // PAGE:
        await asyncio.wait((running,), timeout=0.02)
    seconds = time.perf_counter() - began
    used = cpu() - spent
    committed.close()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (await database.read(lag)).reviews == 0
    found = await asyncio.to_thread(count_committed, bootstrap_servers, f"{prefix}reviews-raw")
    assert found == reviews, f"{found:,} of {reviews:,} are in the topic"
    print(f"{reviews:,} reviews in {seconds:.2f} s: {reviews / seconds:,.0f}/s, of this process CPU {used:.2f} s")


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@takes_long
def fill(transaction: Transaction, reviews: int) -> None:
    """Reviews of 700 bytes, page by page, and the outbox rows that settles would have written."""
    for statement in FILL:
        transaction.connection.execute(text(statement), {"pages": reviews // PAGE, "page": PAGE, "places": LOCATIONS})


WORDS = (
    "(SELECT string_agg(substr(md5((seq * 17 + word)::text), 1, 1 + word % 9), ' ') FROM generate_series(1, 30) word)"
)

FILL = (
    "INSERT INTO locations (tenant, job_id, location, account, title, state) SELECT 'default', 'job-of-the-bench',"
    " 'locations/' || 12345678901234567 + n, 'accounts/109876543210987654321', 'A shop', 'done'"
    " FROM generate_series(1, :places) n",
    f"""
    INSERT INTO reviews (tenant, location_no, review_id, name, rating, comment, reviewer, create_time, update_time, raw)
    SELECT 'default', 1 + page % :places, id, 'accounts/1/locations/1/reviews/' || id, 5, comment, 'A. Guest',
        '2024-01-01T00:00:00Z', '2024-01-01T00:00:00Z',
        convert_to('{{"name": "accounts/109876543210987654321/locations/12345678901234567/reviews/' || id
        || '", "reviewId": "' || id || '", "reviewer": {{"profilePhotoUrl": "https://lh3.example/a/' || md5(id)
        || '", "displayName": "A. Guest"}}, "starRating": "FIVE", "comment": "' || comment
        || '", "createTime": "2024-01-01T00:00:00Z", "updateTime": "2024-01-01T00:00:00Z"}}', 'UTF8')
    FROM (SELECT page, 'AbFvOq' || md5(seq::text) || substr(md5((-seq)::text), 1, 20) AS id, {WORDS} AS comment
        FROM generate_series(0, :pages - 1) page, LATERAL generate_series(page * :page, page * :page + :page - 1) seq
        ORDER BY seq) AS made
    """,  # noqa: S608
    "INSERT INTO outbox"
    " (tenant, job_id, location_no, first_seq, last_seq, created_at, review_count, review_bytes)"
    " SELECT tenant, 'job-of-the-bench', location_no, min(seq), max(seq), 1700000000, count(*), sum(length(raw))"
    " FROM reviews GROUP BY tenant, location_no, (seq - 1) / :page ORDER BY min(seq)",
    "ANALYZE",
)


if __name__ == "__main__":
    main()
