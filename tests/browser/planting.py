"""What stands in the store before the service starts: texts of people who wish it ill, and very many rows."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from app.models.job import LocationState, Stage
from app.models.review import Account, Location, Review
from app.models.settlement import LocationEnd, Settlement
from app.store.database import Transaction
from app.store.migrate import migrate
from app.store.schema import jobs, locations
from app.store.sqlite import SqliteDatabase
from tests.support.jobs import DONE, settle_one
from tests.support.store import new_job, take

LONG_WORD = "A" * 100_000

HOSTILE = (
    "<script>alert('script')</script>",
    "<img src=x onerror=alert('img')>",
    "<svg onload=alert('svg')><a href='javascript:alert(1)'>click</a>",
    "javascript:alert('url') https://elsewhere.example/pixel.gif",
    "\u202egnp.exe\u202c \u2066isolated\u2069 \u200bnothing",
    '"><iframe src="https://elsewhere.example/"></iframe><base href="https://elsewhere.example/">',
    "{{ 7 * 7 }} {% raw %} ${7*7} <style>body{display:none}</style>",
    "<form action='https://elsewhere.example/'><b hx-get='https://elsewhere.example/' hx-trigger='load'>x</b>",
    LONG_WORD,
)
"""One review each, with the same in every field that people write."""

MANY_LOCATIONS = 100_000


def plant(file: Path, plants: Callable[[SqliteDatabase], Coroutine[Any, Any, str]]) -> str:
    """Do it to the store in this file, which no service works on. In a thread, with an event loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, _planted(file, plants)).result()


async def _planted(file: Path, plants: Callable[[SqliteDatabase], Coroutine[Any, Any, str]]) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    database = SqliteDatabase(file, exclusive=True)
    await database.start()
    try:
        await database.write(migrate)
        return await plants(database)
    finally:
        await database.close()


async def hostile_job(database: SqliteDatabase) -> str:
    """A completed job whose account, location and reviews bear hostile texts; its id."""
    job_id = await new_job(database)
    (accounts,) = await take(database, Stage.ACCOUNTS)
    found = [Account("accounts/1", HOSTILE[0])]
    await settle_one(database, Settlement(accounts, DONE, calls=1, page=True, accounts=found))
    (listing,) = await take(database, Stage.LOCATIONS)
    places = [Location("locations/1", HOSTILE[1], None, None, True)]
    await settle_one(database, Settlement(listing, DONE, calls=1, page=True, locations=places))
    (task,) = await take(database, Stage.REVIEWS)
    reviews = [_review(number, text) for number, text in enumerate(HOSTILE)]
    end = LocationEnd(LocationState.DONE)
    whole = Settlement(task, DONE, 1, page=True, reviews=reviews, total=len(reviews), location_end=end)
    await settle_one(database, whole)
    return job_id


def _review(number: int, text: str) -> Review:
    name = f"accounts/1/locations/1/reviews/{number}"
    raw = (
        b'{"reviewId":"%d","comment":"\\u003cscript>alert(1)\\u003c/script> \xe2\x80\xae \\ud83d","unknown":{"a":[1]}}'
    )
    return Review(str(number), name, 1, text, text, "2024-01-01T00:00:00Z", text[:50], text, raw % number)


async def large_job(database: SqliteDatabase) -> str:
    """A job with 100,000 locations, and 120 jobs besides; its id."""
    job_id = await new_job(database)
    await database.write(_many_locations, job_id)
    for _ in range(120):
        await new_job(database, tenant="default")
    return job_id


def _many_locations(transaction: Transaction, job_id: str) -> None:
    row = {
        "job_id": job_id,
        "tenant": "default",
        "account": "accounts/1",
        "title": "Shop",
        "state": LocationState.WAITING.value,
    }
    rows = [row | {"location": f"locations/{number:06}"} for number in range(MANY_LOCATIONS)]
    transaction.connection.execute(insert(locations), rows)
    transaction.connection.execute(
        jobs.update().where(jobs.c.id == job_id).values(locations_found=MANY_LOCATIONS, status="paused")
    )
