"""What reviews weigh on disk and on Kafka: `python -m bench.capacity`, with `make services` running for both tables.

One job is fetched whole; then the files, tables and topics it left are weighed and told for a million reviews.
"""

import argparse
import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

import asyncpg
from confluent_kafka import Consumer, TopicPartition
from rich.console import Console
from rich.table import Table

from app.models.events import Topic
from bench.processes import replicas_site
from bench.servers import located
from tests.support.service import Site, site
from tests.support.services import ask
from tests.support.simulator import simulator_process

TOKEN = "ya29.token-of-a-large-merchant"
LARGEST = 6
"""So many tables are told by name."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--locations", type=int, default=200, help="of one account (default: %(default)s)")
    parser.add_argument("--reviews", type=int, default=500, help="of each location (default: %(default)s)")
    options = parser.parse_args()
    world = ("--accounts", "1", "--locations", str(options.locations), "--reviews", str(options.reviews))
    count = options.locations * options.reviews
    console = Console()
    with simulator_process(*world) as google:
        console.print(table("One process, one SQLite file", on_sqlite(google), count))
        if located():
            console.print(table("PostgreSQL and Kafka", on_servers(google), count))
    if not located():
        console.print("PostgreSQL and Kafka do not run here: `make services` starts them, for the second table.")


def table(title: str, weighed: Mapping[str, int], reviews: int) -> Table:
    """Bytes of a review, and gigabytes of a million."""
    shown = Table(title=f"{title}: {reviews:,} reviews of one job")
    for column in ("what", "bytes a review", "GB a million"):
        shown.add_column(column, justify="left" if column == "what" else "right")
    for what, size in weighed.items():
        shown.add_row(what, f"{size / reviews:,.0f}", f"{size / reviews / 1000:.2f}")
    return shown


def on_sqlite(google: str) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as directory:
        store = Path(directory) / "reviews.db"
        with site(Path(directory), google, DATABASE_URL=f"sqlite:///{store}") as place:
            fetch(place)
        return {"the file after a stop": store.stat().st_size}


def on_servers(google: str) -> dict[str, int]:
    with replicas_site(google) as place:
        database, prefix = place.settings["DATABASE_URL"], place.settings["KAFKA_TOPIC_PREFIX"]
        before = written(database)
        fetch(place)
        weighed = {"WAL written meanwhile, full pages in it": written(database) - before}
        weighed |= asyncio.run(tables(database))
        return weighed | {f"messages on {Topic.REVIEWS_RAW}": messages(prefix + Topic.REVIEWS_RAW)}


def fetch(place: Site) -> None:
    """One job from its POST to its end, and the stop of the service after it."""
    service = place.start(LOG_LEVEL="INFO")
    job = service.job_ended(service.submit(TOKEN), seconds=900)
    if job["status"] != "completed":
        raise SystemExit(f"the job ended {job['status']}: {job['message']}")
    service.terminate()


def written(url: str) -> int:
    """Bytes of write-ahead log since the cluster was made."""
    return int(str(ask(url, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")))


async def tables(url: str) -> dict[str, int]:
    """The largest tables with their indexes, and all of the database (some 8 MB of it are every database's)."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("VACUUM")
        rows = await connection.fetch(
            "SELECT relname, pg_total_relation_size(oid) AS size FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY size DESC LIMIT $1",
            LARGEST,
        )
        whole = await connection.fetchval("SELECT pg_database_size(current_database())")
    finally:
        await connection.close()
    return {"the database": whole} | {f"table {row['relname']}": row["size"] for row in rows}


def messages(topic: str) -> int:
    """Bytes of keys, values and headers, as a consumer gets them: what compression saves is not counted."""
    servers = located()["KAFKA_BOOTSTRAP_SERVERS"]
    consumer = Consumer({"bootstrap.servers": servers, "group.id": f"{topic}-weighed", "enable.auto.commit": False})
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ends = {number: consumer.get_watermark_offsets(TopicPartition(topic, number))[1] for number in partitions}
        consumer.assign([TopicPartition(topic, number, 0) for number, end in ends.items() if end])
        return _read(consumer, ends)
    finally:
        consumer.close()


def _read(consumer: Consumer, ends: Mapping[int, int]) -> int:
    size, waiting = 0, {number for number, end in ends.items() if end}
    while waiting:
        for message in consumer.consume(1000, timeout=5.0):
            headers = dict(message.headers() or ())
            size += sum(len(part or b"") for part in (message.key(), message.value(), *headers, *headers.values()))
        places = consumer.position(consumer.assignment())
        waiting -= {place.partition for place in places if place.offset >= ends[place.partition]}
    return size


if __name__ == "__main__":
    main()
