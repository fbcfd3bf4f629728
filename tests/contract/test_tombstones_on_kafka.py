"""Erased reviews and the readers of reviews-raw: one tombstone a key, behind its review, however anybody dies."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE
from collections import defaultdict
from collections.abc import AsyncIterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import func, select

from app.crash import CrashPoint
from app.models.erasure import ErasureKind
from app.models.events import Topic
from app.store.database import Database, Transaction
from app.store.erasures import order_job, order_reviewer
from app.store.migrate import migrate
from app.store.schema import outbox, tombstones
from tests.contract.test_erasing import age, all_done, ends, job_of, kept, words_of
from tests.contract.test_outbox_on_kafka import CRASHES, publisher_process
from tests.support.announcing import held_locations, settle_page
from tests.support.erasing_process import store_of
from tests.support.kafka import own_topics
from tests.support.publishing import Site, running, send_all, until
from tests.support.service import ROOT
from tests.support.store import review

pytestmark = pytest.mark.kafka


class Place(NamedTuple):
    """A site, and where its store is."""

    site: Site
    database: str


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
async def place(request: pytest.FixtureRequest, tmp_path: Path, kafka_bootstrap_servers: str) -> AsyncIterator[Place]:
    database = str(tmp_path / "store.db")
    if request.param == "postgresql":
        database = request.getfixturevalue("postgresql_database")
    store = store_of(database)
    await store.start()
    await store.write(migrate)
    async with own_topics(kafka_bootstrap_servers) as prefix:
        site = Site(store, kafka_bootstrap_servers, prefix)
        await site.create_topics()
        yield Place(site, database)
    await store.close()


async def messages_by_key(site: Site) -> dict[str, list[bool]]:
    """Key → for each of its messages, in order, whether it holds a review."""
    found = defaultdict[str, list[bool]](list)
    for message in await site.messages(Topic.REVIEWS_RAW):
        found[(message.key() or b"").decode()].append(message.value() is not None)
    return found


async def test_a_tombstone_is_the_key_alone_with_its_headers(place: Place) -> None:
    site = place.site
    job_id = await job_of(site.store, "a", tenant="acme")
    await site.store.write(order_job, "acme", job_id)
    await all_done(site.store)
    await send_all(site)
    (message,) = await site.messages()
    assert message.key() == b"acme/locations/0/reviews/a"
    assert message.value() is None
    headers = dict(message.headers() or [])
    assert headers["type"] == b"tombstone"
    assert str(headers["message_id"]).endswith("acme/locations/0/reviews/a'")
    assert await messages_by_key(site) == {"acme/locations/0/reviews/a": [False]}, "it was never published"


async def test_a_review_that_is_fetched_again_comes_behind_its_tombstone(place: Place) -> None:
    """In one batch as well: the publisher sends by position, not by kind."""
    site = place.site
    first = await job_of(site.store, "a")
    await send_all(site)
    await site.store.write(order_job, "default", first)
    await all_done(site.store)
    await job_of(site.store, "a")
    await send_all(site)
    assert await messages_by_key(site) == {"locations/0/reviews/a": [True, False, True]}


@pytest.mark.postgresql
async def test_each_erased_key_has_one_tombstone_however_the_publisher_dies(
    postgresql_database: str, kafka_bootstrap_servers: str
) -> None:
    """Killed at each step in turn, and the next begins at once; jobs are erased meanwhile, published or not."""
    store = store_of(postgresql_database)
    await store.start()
    await store.write(migrate)
    async with own_topics(kafka_bootstrap_servers) as prefix:
        site = Site(store, kafka_bootstrap_servers, prefix)
        await site.create_topics()
        erased, published = set[str](), set[str]()
        for death, point in enumerate(CRASHES * 2):
            ids = [f"{death}-{number}" for number in range(10)]
            job_id = await job_of(store, *ids)
            if death % 2:
                await send_all(site)
                published |= set(ids)
            async with publisher_process(site, postgresql_database, f"{point}:1", stands_by=False) as replica:
                await store.write(order_job, "default", job_id)
                await all_done(store)
                await replica.died()
            erased |= set(ids)
        await send_all(site)
        found = await messages_by_key(site)
        assert {key.rpartition("/")[2] for key in found} == erased
        for key, values in found.items():
            must = key.rpartition("/")[2] in published
            assert values in ([[True, False]] if must else [[True, False], [False]]), key
    await store.close()


async def _erase_until_killed(database: str, crash_at: str) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.erasing_process", stdin=PIPE, cwd=ROOT
    )
    settings = {"database": database, "crash_at": crash_at, "retention_days": 30}
    async with asyncio.timeout(60):
        await process.communicate(json.dumps(settings).encode() + b"\n")
    assert process.returncode is not None
    return process.returncode


async def test_nothing_of_the_erased_is_left_however_often_the_leader_is_killed(place: Place) -> None:
    """Retention, a job and a reviewer erased at once; each process is killed at its next step, the last ends."""
    site, store = place.site, place.site.store
    named = review("ann")._replace(reviewer="Ann Other", raw=b'{"reviewer":{"displayName":"Ann Other"}}')
    untouched = await job_of(store, "u", places=2)
    (walked,) = await held_locations(store, 1)
    await settle_page(store, walked, [review("w"), named])
    await store.write(ends, walked.job_id)
    old = await job_of(store, *(f"o{number}" for number in range(5)), places=3)
    ordered = await job_of(store, *(f"e{number}" for number in range(5)), places=3)
    await age(store, old, 31)
    before = sorted([f"{untouched} u", f"{untouched} u", f"{walked.job_id} w"])
    async with running(site.publisher()) as publishing:
        await until(site.all_sent, publishing)
        await store.write(order_job, "default", ordered)
        await store.write(order_reviewer, "default", ErasureKind.REVIEWER, "Ann Other")
        deaths = 0
        for point in cycle((CrashPoint.ROWS_SWEPT, CrashPoint.JOBS_HIDDEN, CrashPoint.ROWS_SWEPT)):
            times = 1 + deaths % 2 if point is CrashPoint.ROWS_SWEPT else 1  # all tenants are hidden by one step
            code = await _erase_until_killed(place.database, f"{point}:{times}")
            await until(site.all_sent, publishing)
            deaths += code == -signal.SIGKILL
            if deaths >= 8:
                break
        while await kept(store) != before:
            assert await _erase_until_killed(place.database, "") == 0
        await until(site.all_sent, publishing)
    await send_all(site)
    left = await store.read(words_of)
    assert [
        word for word in (old, ordered, "Ann Other", "reviews/ann") if word in left.replace(f"\n{ordered}\n", "\n", 1)
    ] == []
    found = await messages_by_key(site)
    gone = {f"locations/{at}/reviews/e{number}" for at in range(3) for number in range(5)} | {"locations/0/reviews/ann"}
    assert {key for key, values in found.items() if values == [True, False]} == gone
    assert all(values == [True] for key, values in found.items() if key not in gone)
    assert await _rows(store) == 0


async def _rows(store: Database) -> int:
    """Tombstones that name a review, and what waits for the publisher."""

    def count(transaction: Transaction) -> int:
        named = select(func.count()).select_from(tombstones).where(tombstones.c.review_id != "")
        waiting = select(func.count()).select_from(outbox)
        return sum(int(transaction.connection.execute(one).scalar_one()) for one in (named, waiting))

    return await store.read(count)
