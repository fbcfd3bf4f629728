"""reviews-raw exactly once, on a real Kafka: however the publisher dies, wakes, or finds the topic."""

import asyncio
import json
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import cycle

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource
from sqlalchemy import func, select

from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.transactions import FencedError, OutRecord, TransactionalProducer
from app.clock import SystemClock
from app.crash import CrashPoint
from app.models.events import Topic
from app.models.settlement import GivenUp
from app.results.publisher import ReviewPublisher
from app.store.database import Database, Transaction
from app.store.migrate import migrate
from app.store.outbox import read_head, set_head
from app.store.postgresql import PostgresDatabase
from app.store.published import accept_any_topic
from app.store.republish import announce_everything
from app.store.schema import outbox
from tests.support.announcing import held_locations, settle_page, stored_reviews, walk_all
from tests.support.kafka import SECONDS, delete_topic, following, own_topics
from tests.support.publishing import Site, decoded, running, send_all, until
from tests.support.service import ROOT
from tests.support.store import review

pytestmark = pytest.mark.kafka

LOCATIONS = 12
PAGES = 8

CRASHES = (
    CrashPoint.POSITIONS_STAMPED,
    CrashPoint.BATCH_PRODUCED,
    CrashPoint.BATCH_UNCOMMITTED,
    CrashPoint.BATCH_COMMITTED,
)


@asynccontextmanager
async def _site(store: Database, bootstrap_servers: str) -> AsyncIterator[Site]:
    async with own_topics(bootstrap_servers) as prefix:
        site = Site(store, bootstrap_servers, prefix)
        await site.create_topics()
        yield site


@pytest.fixture
async def any_site(database: Database, kafka_bootstrap_servers: str) -> AsyncIterator[Site]:
    """Over both stores."""
    async with _site(database, kafka_bootstrap_servers) as site:
        yield site


@pytest.fixture
async def site(postgresql_database: str, kafka_bootstrap_servers: str) -> AsyncIterator[Site]:
    store = PostgresDatabase(postgresql_database)
    await store.start()
    await store.write(migrate)
    async with _site(store, kafka_bootstrap_servers) as made:
        yield made
    await store.close()


async def _settle(site: Site, *review_ids: str) -> None:
    """A page of a new location of a new job."""
    (task,) = await held_locations(site.store, 1)
    await settle_page(site.store, task, [review(review_id) for review_id in review_ids])


async def _ids(site: Site) -> list[str]:
    return sorted(key.rpartition("/")[2] for key in (await site.keys()).elements())


async def test_each_review_is_published_once_while_pages_are_settled(any_site: Site) -> None:
    walking = asyncio.create_task(walk_all(any_site.store, await held_locations(any_site.store, LOCATIONS), PAGES))
    async with running(any_site.publisher()) as publishing:
        await walking
        await until(any_site.all_sent, publishing)
    published = await any_site.keys()
    assert published == await any_site.store.read(stored_reviews)
    assert set(published.values()) == {1}


class Replica:
    """A publisher in a process of its own, which dies as by kill -9 when it comes to its crash point."""

    def __init__(self, process: Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, site: Site, database: str, crash_at: str | None, *, stands_by: bool) -> "Replica":
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.support.publisher_process", stdin=PIPE, stdout=PIPE, cwd=ROOT
        )
        settings = {
            "database": database,
            "kafka": site.bootstrap_servers,
            "prefix": site.prefix,
            "crash_at": crash_at,
            "stands_by": stands_by,
        }
        assert process.stdin is not None
        process.stdin.write(json.dumps(settings).encode() + b"\n")
        await process.stdin.drain()
        return cls(process)

    async def says(self, words: str) -> None:
        """`stands by` or `leads`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            while (line := await self.process.stdout.readline()) != f"{words}\n".encode():
                assert line, f"it ended before it said that it {words}"

    async def said(self) -> bytes:
        """What it has printed by its end, which this is."""
        await self.end()
        assert self.process.stdout is not None
        return await self.process.stdout.read()

    async def died(self) -> None:
        async with asyncio.timeout(60):
            assert await self.process.wait() == -signal.SIGKILL

    async def end(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def publisher_process(
    site: Site, database: str, crash_at: str | None = None, *, stands_by: bool = True
) -> AsyncIterator[Replica]:
    replica = await Replica.start(site, database, crash_at, stands_by=stands_by)
    try:
        yield replica
    finally:
        await replica.end()


async def test_each_review_is_published_once_however_the_publisher_dies(site: Site, postgresql_database: str) -> None:
    """Killed at each step in turn, and the next begins at once; the walk goes on meanwhile."""
    tasks = await held_locations(site.store, LOCATIONS)
    for death, point in zip(range(2 * len(CRASHES)), cycle(CRASHES), strict=False):
        walking = [settle_page(site.store, task, [review(f"{death}-{n}") for n in range(10)]) for task in tasks]
        async with publisher_process(site, postgresql_database, f"{point}:1", stands_by=False) as replica:
            await asyncio.gather(*walking)
            await replica.died()
    await send_all(site)
    published = await site.keys()
    assert published == await site.store.read(stored_reviews)
    assert Counter(published.values()) == {1: 2 * len(CRASHES) * LOCATIONS * 10}


async def test_what_a_killed_publisher_had_sent_is_cleared_away_though_nothing_new_comes(
    site: Site, postgresql_database: str
) -> None:
    await _settle(site, "a")
    async with publisher_process(
        site, postgresql_database, f"{CrashPoint.BATCH_COMMITTED}:1", stands_by=False
    ) as replica:
        await replica.died()
    assert not await _is_clear(site)
    async with running(site.publisher()) as publishing:
        await until(lambda: _is_clear(site), publishing)
    assert await _ids(site) == ["a"]


async def _is_clear(site: Site) -> bool:
    def count(transaction: Transaction) -> int:
        return int(transaction.connection.execute(select(func.count()).select_from(outbox)).scalar_one())

    return await site.store.read(count) == 0


async def test_a_publisher_whose_place_was_taken_ends_as_fenced_and_doubles_nothing(site: Site) -> None:
    await _settle(site, "0")
    old = asyncio.create_task(site.publisher().run())
    await until(site.all_sent, old)
    async with running(site.publisher()) as new:
        pages = 1
        while not old.done():
            await _settle(site, f"{pages}")
            pages += 1
            await until(site.all_sent, new)
    with pytest.raises(FencedError):
        old.result()
    assert Counter(await _ids(site)) == {f"{page}": 1 for page in range(pages)}


async def test_a_zombie_that_wakes_within_its_transaction_commits_nothing(site: Site, postgresql_database: str) -> None:
    """SIGSTOP before the commit, a successor sends the same, SIGCONT."""
    await _settle(site, "a", "b")
    producer = _producer(site)
    await producer.start()
    await asyncio.to_thread(_open_transaction, producer, site)
    await send_all(site)
    with pytest.raises(FencedError):
        await producer.send([], 9)
    await producer.close()
    assert await _ids(site) == ["a", "b"]
    assert await site.reached() == 1


def _producer(site: Site) -> TransactionalProducer:
    connection = KafkaConnection(site.bootstrap_servers)
    return TransactionalProducer(connection, site.group, site.topic, TopicLayout(), SystemClock())


def _open_transaction(producer: TransactionalProducer, site: Site) -> None:
    """As if it had been stopped between a message and the commit."""
    inner = producer._producer
    assert inner is not None
    inner.begin_transaction()
    inner.produce(site.topic, b"zombie", b"zombie")
    inner.flush(SECONDS)


@pytest.mark.alone
async def test_a_standby_never_disturbs_the_leader(site: Site, postgresql_database: str) -> None:
    """Had the second replica touched the transactional id, the first would have been fenced, and led anew."""
    async with publisher_process(site, postgresql_database) as first:
        await first.says("leads")
        async with publisher_process(site, postgresql_database) as second:
            await second.says("stands by")
            for page in range(4):
                await _settle(site, f"{page}")
                await until(site.all_sent)
            assert b"leads" not in await second.said()
        assert b"leads" not in await first.said(), "it led from the beginning to the end"
    assert await _ids(site) == ["0", "1", "2", "3"]


@pytest.mark.alone
async def test_readers_do_not_wait_long_for_a_publisher_that_was_killed(site: Site, postgresql_database: str) -> None:
    """Killed within a transaction; the lease has to run out before the standby ends it."""
    async with publisher_process(site, postgresql_database, f"{CrashPoint.BATCH_UNCOMMITTED}:1") as leader:
        await leader.says("leads")
        async with (
            publisher_process(site, postgresql_database) as standby,
            following(site.bootstrap_servers, site.topic) as next_message,
        ):
            await standby.says("stands by")
            await _settle(site, "a")
            await leader.died()
            began = asyncio.get_running_loop().time()
            await next_message()
            stall = asyncio.get_running_loop().time() - began
    assert await _ids(site) == ["a"]
    assert stall <= 5.0


async def test_after_an_idle_week_the_copy_in_the_store_goes_on(site: Site) -> None:
    await _settle(site, "a")
    await send_all(site)
    admin = AdminClient({"bootstrap.servers": site.bootstrap_servers})
    await asyncio.to_thread(admin.delete_consumer_groups([site.group])[site.group].result, SECONDS)
    assert await site.reached() == 0
    async with running(site.publisher()) as publishing:
        await until(lambda: _has_reached(site, 1), publishing)
        await _settle(site, "b")
        await until(site.all_sent, publishing)
    assert await _ids(site) == ["a", "b"]


async def _has_reached(site: Site, position: int) -> bool:
    return await site.reached() == position


async def test_a_topic_that_was_made_anew_stops_publishing_until_somebody_decides(site: Site) -> None:
    await _settle(site, "a")
    await send_all(site)
    await _wipe(site)
    await _settle(site, "b")
    publisher = site.publisher()
    async with running(publisher) as publishing:
        await until(lambda: _has_problem(publisher, "deleted and made anew"), publishing)
        assert await _ids(site) == []
        await site.store.write(accept_any_topic)
        await until(site.all_sent, publishing)
        assert publisher.problem is None, "without a restart"
    assert await _ids(site) == ["b"]


async def test_a_topic_that_was_made_anew_gets_everything_once_if_that_is_decided(site: Site) -> None:
    await walk_all(site.store, await held_locations(site.store, 3), 2)
    await send_all(site)
    await _wipe(site)
    await _settle(site, "b")
    await announce_everything(site.store)
    await send_all(site)
    assert await site.keys() == await site.store.read(stored_reviews)


async def test_a_topic_that_is_made_anew_under_a_running_publisher_is_noticed(site: Site) -> None:
    publisher = site.publisher()
    await _settle(site, "a")
    async with running(publisher) as publishing:
        await until(site.all_sent, publishing)
        await _wipe(site)
        await until(lambda: _has_problem(publisher, "review-fetcher republish --everything"), publishing)


async def _wipe(site: Site) -> None:
    await delete_topic(site.bootstrap_servers, site.topic)
    await site.create_topics()


async def _has_problem(publisher: ReviewPublisher, words: str) -> bool:
    await asyncio.sleep(0)
    return words in (publisher.problem or "")


async def test_a_store_restored_from_a_backup_stops_until_somebody_decides(site: Site) -> None:
    """Kafka has a position that this store has never given out."""
    await _settle(site, "a")
    await send_all(site)
    producer = _producer(site)
    await producer.start()
    await producer.send([OutRecord(site.topic, b"locations/0/reviews/lost", b"{}", [])], 7)
    await producer.close()
    await _settle(site, "b")
    publisher = site.publisher()
    async with running(publisher) as publishing:
        await until(lambda: _has_problem(publisher, "restored from a backup"), publishing)
        await site.store.write(accept_any_topic)
        await until(site.all_sent, publishing)
    assert await _ids(site) == ["a", "b", "lost"]
    assert await site.reached() == 8


async def test_a_store_that_goes_back_under_a_running_publisher_is_noticed(site: Site) -> None:
    """As a standby without the last commits does when it is promoted: its next rows get numbers that are used up."""
    await _settle(site, "a")
    publisher = site.publisher()
    async with running(publisher) as publishing:
        await until(site.all_sent, publishing)
        before = await site.store.read(read_head)
        for name in ("b", "c"):
            await _settle(site, name)
            await until(site.all_sent, publishing)
        await site.store.write(set_head, before)
        await _settle(site, "d")
        await until(lambda: _has_problem(publisher, "restored from a backup"), publishing)
        await site.store.write(accept_any_topic)
        await until(site.all_sent, publishing)
    assert await _ids(site) == ["a", "b", "c", "d"]


async def test_a_record_that_kafka_refuses_for_its_size_is_not_dropped(site: Site) -> None:
    """Nothing of its transaction appears, it is told what is wrong, and all of it goes once the topic takes it."""
    await _settle(site, "small")
    (task,) = await held_locations(site.store, 1)
    huge = '{"comment":"' + random.Random(1).randbytes(200_000).hex() + '"}'
    await settle_page(site.store, task, [review("huge")._replace(raw=huge.encode())])
    await _limit(site, 100_000)
    publisher = site.publisher()
    async with running(publisher) as publishing:
        await until(lambda: _has_problem(publisher, "too large"), publishing)
        assert await _ids(site) == []
        assert await site.reached() == 0
        await _limit(site, 2_000_000)
        await until(site.all_sent, publishing)
        assert publisher.problem is None
    assert await _ids(site) == ["huge", "small"]


async def _limit(site: Site, most_bytes: int) -> None:
    setting = ConfigEntry("max.message.bytes", str(most_bytes), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, site.topic, incremental_configs=[setting])
    admin = AdminClient({"bootstrap.servers": site.bootstrap_servers})
    await asyncio.to_thread(admin.incremental_alter_configs([resource])[resource].result, SECONDS)


async def test_a_stop_leaves_the_store_knowing_how_far_it_came(site: Site) -> None:
    await _settle(site, "a")
    async with running(site.publisher()) as publishing:
        await until(lambda: _has_reached(site, 1), publishing)
    assert await site.all_sent()


async def test_a_transaction_left_open_is_aborted_by_the_next_start(site: Site) -> None:
    left = _producer(site)
    await left.start()
    await asyncio.to_thread(_open_transaction, left, site)
    successor = _producer(site)
    reached = await successor.start()
    assert reached.position is None
    await successor.send([OutRecord(site.topic, b"k", b"{}", [])], 3)
    assert await site.reached() == 3
    assert [message.key() for message in await site.messages()] == [b"k"]
    await left.close()
    await successor.close()


async def test_dead_letters_go_to_their_topic_in_the_same_transactions(site: Site) -> None:
    (task,) = await held_locations(site.store, 1, tenant="acme")
    item = GivenUp("review", "locations/0/reviews/huge", "too_large", "It has 1 MB.")
    await settle_page(site.store, task, [review("a")], [item])
    await send_all(site)
    (message,) = await site.messages(Topic.DEAD_LETTERS)
    envelope = decoded(message)
    assert envelope["topic"] == "review-fetcher-dlq"
    assert message.key() == f"acme/{task.job_id}".encode()
    assert envelope["message"]["cause"] == "too_large"
    assert dict(message.headers() or [])["cause"] == b"too_large"
    assert [message.key() for message in await site.messages()] == [b"acme/locations/0/reviews/a"]
