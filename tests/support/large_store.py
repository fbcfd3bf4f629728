"""A store with a job of very many reviews, as if it had been fetched: written by SQL, in seconds."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from app.store.migrate import migrate
from app.store.sqlite import SqliteDatabase

JOB_ID = "5f0c9d52-1f4e-4f6e-9a53-0c6c5d1f7e11"

OF_ONE_LOCATION = 5_000

RARE = "Nadelöhr"
"""In one comment of each hundred thousand."""

_JOB = """
INSERT INTO jobs (id, tenant, status, created_at, updated_at, finished_at, locations_found, locations_done,
    reviews_fetched, reviews_expected)
VALUES (:job, 'default', 'completed', 1.0, 2.0, 2.0, :places, :places, :reviews, :reviews)
"""

_LOCATIONS = """
INSERT INTO locations (no, tenant, job_id, location, account, title, state, total, average, fetched)
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :places)
SELECT n, 'default', :job, printf('locations/%06d', n), 'accounts/1', 'Shop ' || n, 'done', :each, 3.0, :each
FROM number
"""

_REVIEWS = """
INSERT INTO reviews (seq, tenant, location_no, review_id, name, rating, comment, reviewer, create_time, update_time,
    reply, raw)
WITH RECURSIVE number(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM number WHERE n < :reviews - 1),
told(n, id, said, at) AS (
    SELECT n, printf('AbFvOq%034d', n),
        CASE WHEN n % 100000 = 99999 THEN :rare ELSE 'Schön, sehr schön. ' END || substr(:long, 1, n % 300),
        printf('2024-01-%02dT%02d:%02d:00.123456Z', 1 + n % 28, n % 24, n % 60) FROM number)
SELECT n + 1, 'default', 1 + n / :each, id, 'accounts/1/locations/1/reviews/' || id, 1 + n % 5, said, 'A. Guest', at,
    at, CASE WHEN n % 3 = 0 THEN 'Danke!' END,
    CAST('{"reviewId":"' || id || '","starRating":"FIVE","reviewer":{"displayName":"A. Guest","profilePhotoUrl":"'
        || substr(:long, 1, 90) || '"},"comment":"' || said || '","createTime":"' || at || '","updateTime":"' || at
        || '"}' AS BLOB)
FROM told
"""


def write_large_store(path: Path, reviews: int) -> None:
    """A SQLite store at `path` with one completed job, `JOB_ID`, of so many reviews."""
    asyncio.run(_write_tables(path))
    places = reviews // OF_ONE_LOCATION
    values = {"job": JOB_ID, "places": places, "each": OF_ONE_LOCATION, "reviews": places * OF_ONE_LOCATION}
    values |= {"rare": RARE, "long": "Lorem ipsum dolor sit amet, consectetur. " * 10}
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("PRAGMA synchronous=OFF")
        store.execute("PRAGMA journal_mode=OFF")
        store.execute("BEGIN")
        for statement in (_JOB, _LOCATIONS, _REVIEWS):
            store.execute(statement, values)
        store.execute("COMMIT")


async def _write_tables(path: Path) -> None:
    database = SqliteDatabase(path, exclusive=True)
    await database.start()
    await database.write(migrate)
    await database.close()
