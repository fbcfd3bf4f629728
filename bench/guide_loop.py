"""The guide's loop as it stands, in a straightforward version: `python -m bench.guide_loop URL DIRECTORY`.

One message at a time, one request at a time, seen ids in a set, one send per review: here one durable row, because
the service it is compared with promises that much. The HTTP client is the service's own kind (aiohttp), which is
faster than the guide's httpx.
"""

import asyncio
import sqlite3
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from bench.measure import TOKEN, Measure, scratch

Json = dict[str, Any]


class GuideLoop:
    """AccountWorker, LocationWorker and ReviewWorker of the guide, one after the other."""

    def __init__(self, session: aiohttp.ClientSession, url: str, store: sqlite3.Connection) -> None:
        self._session = session
        self._url = url
        self._store = store
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
            self._publish_review(job_id, review)

    def _publish_review(self, job_id: str, review: Json) -> None:
        row = (job_id, review["name"], review.get("starRating"), review.get("comment"))
        self._store.execute("INSERT INTO reviews (job_id, name, rating, comment) VALUES (?, ?, ?, ?)", row)
        self._store.commit()
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


async def main(url: str, directory: str) -> None:
    store = sqlite3.connect(scratch(directory) / "guide.db")
    store.execute("PRAGMA journal_mode=WAL")
    store.execute("PRAGMA synchronous=FULL")
    store.execute("CREATE TABLE reviews (id INTEGER PRIMARY KEY, job_id TEXT, name TEXT, rating TEXT, comment TEXT)")
    measure = Measure()
    async with aiohttp.ClientSession() as session:
        loop = GuideLoop(session, url, store)
        await loop.run("job-1")
    store.close()
    measure.end(loop.reviews)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
