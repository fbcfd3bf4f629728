"""The guide's loop as it stands, in a straightforward version.

`python -m bench.guide_loop URL DIRECTORY [kafka|servers]`

One message at a time, one request at a time, seen ids in a set, one send per review: one durable row in SQLite; with
`kafka` one message that the broker has taken; with `servers` that and a row in PostgreSQL, because the service it is
compared with promises both. The HTTP client is the service's own kind (aiohttp), which is faster than the guide's.
"""

import asyncio
import json
import sqlite3
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from confluent_kafka import Producer

from app.models.events import Topic
from bench import servers
from bench.measure import TOKEN, Measure, scratch
from tests.support.kafka import create_topic

Json = dict[str, Any]

Send = Callable[[str, Json], Awaitable[None]]
"""Takes a job's id and a review, and returns when it is safe."""

COLUMNS = "job_id TEXT, name TEXT, rating TEXT, comment TEXT"
INSERT = "INSERT INTO reviews (job_id, name, rating, comment) VALUES"


class GuideLoop:
    """AccountWorker, LocationWorker and ReviewWorker of the guide, one after the other."""

    def __init__(self, session: aiohttp.ClientSession, url: str, send: Send) -> None:
        self._session = session
        self._url = url
        self._send = send
        self._seen_reviews: dict[str, set[str]] = defaultdict(set)
        self.reviews = 0

    async def run(self, job_id: str) -> None:
        async for account in self._pages("/v1/accounts?pageSize=20", "accounts"):
            path = f"/v1/{account['name']}/locations?pageSize=100&readMask=name,title,metadata"
            async for location in self._pages(path, "locations"):
                await self._on_location(job_id, f"{account['name']}/{location['name']}")

    async def _on_location(self, job_id: str, parent: str) -> None:
        async for review in self._pages(f"/v4/{parent}/reviews?pageSize=50", "reviews"):
            if review["name"] in self._seen_reviews[job_id]:
                continue
            self._seen_reviews[job_id].add(review["name"])
            await self._send(job_id, review)
            self.reviews += 1

    async def _pages(self, path: str, items: str) -> AsyncIterator[Json]:
        page_token = None
        while True:
            suffix = f"&pageToken={page_token}" if page_token else ""
            page = await self._get(f"{self._url}{path}{suffix}")
            for item in page.get(items, []):
                yield item
            page_token = page.get("nextPageToken")
            if not page_token:
                return

    async def _get(self, url: str) -> Json:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self._session.get(url, headers=headers) as response:
            response.raise_for_status()
            answer: Json = await response.json()
            return answer


async def main(url: str, directory: str, where: str = "sqlite") -> None:
    if where == "sqlite":
        store = sqlite3.connect(scratch(directory) / "guide.db")
        await _walk(url, _to_sqlite(store))
        store.close()
        return
    async with servers.place(Path(directory)) as stack:
        assert stack.kafka is not None
        topic = stack.kafka.topic_prefix + Topic.REVIEWS_RAW
        bootstrap_servers = ",".join(stack.kafka.bootstrap_servers)
        await create_topic(bootstrap_servers, topic, stack.kafka.topic_partitions)
        send = _to_kafka(bootstrap_servers, topic)
        if where == "kafka":
            await _walk(url, send)
            return
        database = await asyncpg.connect(stack.settings["database_url"].get_secret_value())
        await database.execute(f"CREATE TABLE reviews (id BIGSERIAL PRIMARY KEY, {COLUMNS})")
        await _walk(url, _to_both(database, send))
        await database.close()


async def _walk(url: str, send: Send) -> None:
    measure = Measure()
    async with aiohttp.ClientSession() as session:
        loop = GuideLoop(session, url, send)
        await loop.run("job-1")
    measure.end(loop.reviews)


def _row(job_id: str, review: Json) -> tuple[str, str, str | None, str | None]:
    return job_id, review["name"], review.get("starRating"), review.get("comment")


def _to_sqlite(store: sqlite3.Connection) -> Send:
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("PRAGMA synchronous=FULL")
    store.execute(f"CREATE TABLE reviews (id INTEGER PRIMARY KEY, {COLUMNS})")

    async def send(job_id: str, review: Json) -> None:
        store.execute(f"{INSERT} (?, ?, ?, ?)", _row(job_id, review))
        store.commit()

    return send


def _to_kafka(bootstrap_servers: str, topic: str) -> Send:
    producer = Producer({"bootstrap.servers": bootstrap_servers, "acks": "all", "enable.idempotence": True})

    async def send(job_id: str, review: Json) -> None:
        value = json.dumps({"type": "review", "job_id": job_id, "review": review})
        producer.produce(topic, value.encode(), review["name"].encode())
        assert producer.flush(30.0) == 0

    return send


def _to_both(database: asyncpg.Connection, publish: Send) -> Send:
    async def send(job_id: str, review: Json) -> None:
        await database.execute(f"{INSERT} ($1, $2, $3, $4)", *_row(job_id, review))
        await publish(job_id, review)

    return send


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
