"""The ceiling: the service's own client and decoder, as many calls in flight, and the pages dropped.

`python -m bench.ceiling URL DIRECTORY [store]`: with `store`, each page is also inserted into a bare table with a
unique key, by a thread that commits what has gathered. Nothing else is promised: no tasks, no resume, no counters.
"""

import asyncio
import queue
import sqlite3
import sys
import threading
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import uvloop

from app.google.client import GoogleAPIClient
from app.google.endpoints import Endpoints
from app.models.review import Review
from bench.measure import TOKEN, Measure, scratch

CONCURRENCY = 16
COLUMNS = "location, review_id, name, rating, comment, reviewer, create_time, update_time, reply, raw"

Sink = Callable[[str, list[Review]], None]


async def main(url: str, directory: str, *options: str) -> None:
    writer = BareWriter(scratch(directory) / "bare.db") if "store" in options else None
    measure = Measure()
    async with GoogleAPIClient(Endpoints.at(url), connections=CONCURRENCY) as google:
        reviews = await walk(google, writer.put if writer else drop)
    if writer is not None:
        writer.finish()
    measure.end(reviews)


def drop(_location: str, _reviews: list[Review]) -> None:
    """Into the void."""


async def walk(google: GoogleAPIClient, sink: Sink) -> int:
    """Every page of every location, `CONCURRENCY` locations at a time; returns the number of reviews."""
    places = await _places(google)
    total = 0

    async def read() -> None:
        nonlocal total
        while places:
            account, location = places.pop()
            cursor: str | None = None
            while True:
                page = await google.list_reviews(TOKEN, account, location, cursor)
                total += len(page.reviews)
                sink(location, page.reviews)
                cursor = page.next_page_token
                if cursor is None:
                    break

    await asyncio.gather(*(read() for _ in range(CONCURRENCY)))
    return total


async def _places(google: GoogleAPIClient) -> list[tuple[str, str]]:
    places: list[tuple[str, str]] = []
    accounts = await google.list_accounts(TOKEN, None)
    for account in accounts.accounts:
        cursor: str | None = None
        while True:
            page = await google.list_locations(TOKEN, account.name, cursor)
            places += [(account.name, location.name) for location in page.locations]
            cursor = page.next_page_token
            if cursor is None:
                break
    return places


class BareWriter:
    """One table, one unique key, `synchronous=FULL`, what has gathered in one commit; at most 64 pages wait."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pages: queue.Queue[tuple[str, list[Review]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def put(self, location: str, reviews: list[Review]) -> None:
        self._pages.put((location, reviews))

    def finish(self) -> None:
        self._pages.put(None)
        self._thread.join()

    def _run(self) -> None:
        connection = sqlite3.connect(self._path, isolation_level=None, cached_statements=256)
        for pragma in ("page_size=8192", "journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(f"CREATE TABLE reviews (id INTEGER PRIMARY KEY, {COLUMNS}, UNIQUE (location, review_id))")
        going_on = True
        while going_on:
            group = [self._pages.get()]
            while not self._pages.empty():
                group.append(self._pages.get())
            connection.execute("BEGIN IMMEDIATE")
            for page in group:
                if page is None:
                    going_on = False
                elif page[1]:
                    self._insert(connection, *page)
            connection.execute("COMMIT")
        connection.close()

    def _insert(self, connection: sqlite3.Connection, location: str, reviews: list[Review]) -> None:
        row = "(" + ",".join("?" * 10) + ")"
        rows = ",".join([row] * len(reviews))
        statement = f"INSERT INTO reviews ({COLUMNS}) VALUES {rows} ON CONFLICT DO NOTHING"  # noqa: S608
        connection.execute(statement, tuple(chain.from_iterable((location, *review) for review in reviews)))


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
