"""The walk of a job over a real PostgreSQL and a real Kafka: every race that replicas can have, and one winner each."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import asyncpg
import pytest
from sqlalchemy import func, select

from app.broker.base import Delivery
from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.kafka import KafkaBroker
from app.clock import SystemClock
from app.models.job import HeldTask, LocationState, Stage, TaskStatus, Work
from app.models.review import Account, Location
from app.models.settlement import LocationEnd, Move, Settled, Settlement, SettleOptions
from app.store.control import cancel
from app.store.database import Transaction
from app.store.migrate import migrate
from app.store.postgresql import PostgresDatabase
from app.store.release import Window, release
from app.store.schema import jobs, reviews
from app.store.settle import JobEndedMeanwhileError, settle
from app.store.tasks import claim
from tests.support.kafka import own_topics
from tests.support.locks import until_somebody_waits
from tests.support.store import new_job, review, take

pytestmark = pytest.mark.postgresql

OPTIONS = SettleOptions(announce=True, token_wait=3600.0)
DONE = Move(TaskStatus.DONE)
ACCOUNTS = [Account("accounts/1", "One"), Account("accounts/2", "Two")]
LOCATIONS = {
    "accounts/1": ["locations/1", "locations/2", "locations/3"],
    "accounts/2": ["locations/3", "locations/4"],
}
PAGES = {None: ["a", "b"], "page-2": ["b", "c"]}
"""Each location's pages overlap by one review."""


@pytest.fixture
async def store(postgresql_database: str) -> AsyncIterator[PostgresDatabase]:
    opened = PostgresDatabase(postgresql_database)
    await opened.start()
    await opened.write(migrate)
    yield opened
    await opened.close()


@pytest.fixture
async def broker(kafka_bootstrap_servers: str) -> AsyncIterator[KafkaBroker]:
    async with own_topics(kafka_bootstrap_servers) as prefix:
        opened = KafkaBroker(
            KafkaConnection(kafka_bootstrap_servers),
            f"{prefix}group",
            SystemClock(),
            layout=TopicLayout(partitions=3),
            topic_prefix=prefix,
        )
        await opened.start()
        await opened.prepare()
        yield opened
        await opened.close()


def _job(transaction: Transaction, job_id: str) -> dict[str, object]:
    return dict(transaction.connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().one())


def _count_reviews(transaction: Transaction) -> int:
    return int(transaction.connection.execute(select(func.count()).select_from(reviews)).scalar_one())


def _answer(task: HeldTask) -> Settlement:
    """What Google says to the page that the task is at."""
    match task.stage:
        case Stage.ACCOUNTS:
            return Settlement(task, DONE, calls=1, page=True, accounts=ACCOUNTS)
        case Stage.LOCATIONS:
            found = [Location(name, "Shop", None, None, True) for name in LOCATIONS[task.resource]]
            return Settlement(task, DONE, calls=1, page=True, locations=found)
        case Stage.REVIEWS:
            page = [review(name) for name in PAGES[task.cursor]]
            if task.cursor is None:
                return Settlement(task, Move(TaskStatus.HELD, "page-2"), calls=1, page=True, reviews=page, total=3)
            end = LocationEnd(LocationState.DONE)
            return Settlement(task, DONE, calls=1, page=True, reviews=page, total=3, location_end=end)


async def _receive(broker: KafkaBroker, stage: Stage, number: int) -> list[Delivery]:
    received: list[Delivery] = []
    async with asyncio.timeout(30):
        while len(received) < number:
            received += await broker.consumer(stage).receive(100)
    return received


async def _claim_as_twins(store: PostgresDatabase, works: Sequence[Work]) -> list[HeldTask]:
    """Two workers ask for the same tasks at the same time, each in an order of its own."""
    wanted = [[(work.task_id, work.version) for work in random.sample(works, len(works))] for _ in range(2)]
    claims = [store.write(claim, pairs, f"worker-{number}", 15.0) for number, pairs in enumerate(wanted)]
    return [task for held in await asyncio.gather(*claims) for task in held]


async def _settle_as_twins(store: PostgresDatabase, task: HeldTask) -> Settled:
    """Two copies of a held task settle the same page at the same time; the answer of the one that was written."""
    copies = [_answer(task), _answer(replace(task))]
    settled = await asyncio.gather(*(store.write(settle, copy, OPTIONS) for copy in copies))
    (winner,) = [each for each in settled if each.move is not None]
    return winner


async def _walk(store: PostgresDatabase, task: HeldTask) -> list[Settled]:
    """All pages of a task, as its worker goes on from one to the next."""
    settled = [await _settle_as_twins(store, task)]
    while settled[-1].status is TaskStatus.HELD and settled[-1].move is not None:
        known = task.location_fetched + settled[-1].new_reviews
        cursor = settled[-1].move.cursor
        task = replace(task, version=settled[-1].version, cursor=cursor, location_fetched=known, location_total=3)
        settled.append(await _settle_as_twins(store, task))
    return settled


@pytest.mark.kafka
async def test_a_walk_with_duplicated_messages_and_twins_ends_with_every_review_once(
    store: PostgresDatabase, broker: KafkaBroker
) -> None:
    job_id = await new_job(store)
    ends = []
    for stage in Stage:
        works = (await store.write(release, stage, Window(100, 100))).works
        await broker.publish(works + works)
        deliveries = await _receive(broker, stage, 2 * len(works))
        assert {delivery.work for delivery in deliveries} == set(works)
        held = await _claim_as_twins(store, [delivery.work for delivery in deliveries])
        assert sorted(task.task_id for task in held) == sorted(work.task_id for work in works)
        for delivery in deliveries:
            broker.consumer(stage).acknowledge(delivery)
        walks = await asyncio.gather(*(_walk(store, task) for task in held))
        ends += [settled.job_ended for walk in walks for settled in walk if settled.job_ended]
    assert ends == ["completed"]
    job = await store.read(_job, job_id)
    assert (job["tasks_open"], job["tasks_done"], job["tasks_dead"]) == (0, 1 + 2 + 4, 0)
    assert (job["reviews_fetched"], job["reviews_duplicates"], job["reviews_expected"]) == (12, 4, 12)
    assert (job["calls"], job["pages_settled"]) == (1 + 2 + 8, 1 + 2 + 8)
    assert await store.read(_count_reviews) == 12


@pytest.mark.kafka
async def test_messages_that_come_again_after_the_walk_claim_nothing(
    store: PostgresDatabase, broker: KafkaBroker
) -> None:
    await new_job(store)
    works = (await store.write(release, Stage.ACCOUNTS, Window(100, 100))).works
    await broker.publish(works)
    (first,) = await _receive(broker, Stage.ACCOUNTS, 1)
    (task,) = await _claim_as_twins(store, [first.work])
    await _settle_as_twins(store, task)
    await broker.publish(works)
    (again,) = await _receive(broker, Stage.ACCOUNTS, 1)
    assert again.work == first.work
    assert await _claim_as_twins(store, [again.work]) == []


async def test_claimers_of_the_same_tasks_of_many_jobs_share_them_out(store: PostgresDatabase) -> None:
    for _ in range(20):
        for _ in range(25):
            await new_job(store)
        works = (await store.write(release, Stage.ACCOUNTS, Window(1000, 1000))).works
        held = await _claim_as_twins(store, works)
        assert sorted(task.task_id for task in held) == sorted(work.task_id for work in works)


async def test_tasks_that_are_the_last_at_the_same_time_end_their_job_once(store: PostgresDatabase) -> None:
    found = [Account(f"accounts/{number}", "") for number in range(6)]
    for _ in range(25):
        job_id = await new_job(store)
        (first,) = await take(store, Stage.ACCOUNTS)
        await store.write(settle, Settlement(first, DONE, page=True, accounts=found), OPTIONS)
        last = await take(store, Stage.LOCATIONS)
        settlements = [Settlement(task, DONE, calls=1, page=True) for task in last]
        settled = await asyncio.gather(*(store.write(settle, each, OPTIONS) for each in settlements))
        ends = [each.job_ended for each in settled if each.job_ended]
        job = await store.read(_job, job_id)
        assert (ends, job["tasks_open"], job["tasks_done"]) == (["completed"], 0, 7)


async def _held_reviews_task(store: PostgresDatabase) -> HeldTask:
    await new_job(store)
    (accounts,) = await take(store, Stage.ACCOUNTS)
    await store.write(settle, Settlement(accounts, DONE, page=True, accounts=ACCOUNTS[:1]), OPTIONS)
    (listing,) = await take(store, Stage.LOCATIONS)
    place = Location("locations/1", "Shop", None, None, True)
    await store.write(settle, Settlement(listing, DONE, page=True, locations=[place]), OPTIONS)
    (task,) = await take(store, Stage.REVIEWS)
    return task


async def test_a_cancel_that_races_a_settle_leaves_the_counters_as_it_found_them(store: PostgresDatabase) -> None:
    written = 0
    for _ in range(25):
        task = await _held_reviews_task(store)

        def cancelled(transaction: Transaction, job_id: str = task.job_id) -> dict[str, object]:
            cancel(transaction, "default", job_id)
            return _job(transaction, job_id)

        settled, at_cancel = await asyncio.gather(
            store.write(settle, _answer(task), OPTIONS), store.write(cancelled), return_exceptions=True
        )
        assert isinstance(settled, Settled | JobEndedMeanwhileError)
        assert await store.read(_job, task.job_id) == at_cancel
        written += int(isinstance(settled, Settled) and settled.move is not None)
        assert await store.read(_count_reviews) == 2 * written


async def test_a_settle_that_meets_a_cancel_between_guard_and_counters_writes_nothing(
    store: PostgresDatabase, postgresql_database: str
) -> None:
    task = await _held_reviews_task(store)
    before = await store.read(_job, task.job_id)
    person = await asyncpg.connect(postgresql_database)
    cancelling = person.transaction()
    await cancelling.start()
    await person.execute("UPDATE jobs SET status = 'cancelled' WHERE id = $1", task.job_id)
    settling = asyncio.create_task(store.write(settle, _answer(task), OPTIONS))
    await until_somebody_waits(person)
    await cancelling.commit()
    await person.close()
    with pytest.raises(JobEndedMeanwhileError):
        await settling
    assert await store.read(_job, task.job_id) == before | {"status": "cancelled"}
    assert await store.read(_count_reviews) == 0
