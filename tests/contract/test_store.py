"""The store's promises, over every database."""

import asyncio

import pytest
from sqlalchemy import and_, func, select, text, update

from app.models.job import HeldTask, LocationState, Problem, Stage, TaskStatus
from app.models.review import Account, Location
from app.models.settlement import GivenUp, LocationEnd, Move, Settled, Settlement, SettleOptions
from app.store.database import Database, StoreUnavailableError, Transaction
from app.store.postgresql import PostgresDatabase
from app.store.schema import DEAD_LETTER, credentials, dead_letters, jobs, locations, outbox, reviews, tasks
from app.store.settle import LEASE_LEFT_SECONDS, settle
from app.store.tasks import let_go
from app.store.turns import waiting_jobs
from tests.support.store import new_job, review, take

OPTIONS = SettleOptions(announce=True, token_wait=3600.0)


def _job(transaction: Transaction, job_id: str) -> dict[str, object]:
    row = transaction.connection.execute(select(jobs).where(jobs.c.id == job_id)).mappings().one()
    return dict(row)


def _rows(transaction: Transaction) -> int:
    return int(transaction.connection.execute(select(func.count()).select_from(reviews)).scalar_one())


async def _reviews_task(database: Database, job_id: str) -> HeldTask:
    """A job with one account and one location, its reviews task held."""
    (accounts,) = await take(database, Stage.ACCOUNTS)
    done = Move(TaskStatus.DONE)
    found = Settlement(accounts, done, calls=1, page=True, accounts=[Account("accounts/1", "Shops")])
    await database.write(settle, found, OPTIONS)
    (listing,) = await take(database, Stage.LOCATIONS)
    place = Location("locations/1", "Shop", None, None, True)
    await database.write(settle, Settlement(listing, done, calls=1, page=True, locations=[place]), OPTIONS)
    (task,) = await take(database, Stage.REVIEWS)
    return task


async def _settle(database: Database, settlement: Settlement) -> Settled:
    return await database.write(settle, settlement, OPTIONS)


async def test_a_walk_ends_with_every_review_once(database: Database) -> None:
    job_id = await new_job(database)
    task = await _reviews_task(database, job_id)
    first = Settlement(
        task,
        Move(TaskStatus.HELD, cursor="p2"),
        calls=1,
        page=True,
        reviews=[review("a"), review("b"), review("a")],
        total=3,
        average=4.5,
    )
    settled = await _settle(database, first)
    assert (settled.status, settled.new_reviews) == (TaskStatus.HELD, 2)
    task.version, task.location_fetched, task.location_total = settled.version, 2, 3
    last = Settlement(
        task,
        Move(TaskStatus.DONE),
        calls=1,
        page=True,
        reviews=[review("b"), review("c")],
        total=3,
        location_end=LocationEnd(LocationState.DONE),
    )
    settled = await _settle(database, last)
    assert settled.job_ended == "completed"
    job = await database.read(_job, job_id)
    assert (job["reviews_fetched"], job["reviews_duplicates"], job["reviews_expected"]) == (3, 2, 3)
    assert (job["tasks_open"], job["tasks_done"], job["calls"]) == (0, 3, 4)
    assert await database.read(_rows) == 3


async def test_a_second_settle_of_the_same_version_changes_nothing(database: Database) -> None:
    job_id = await new_job(database)
    task = await _reviews_task(database, job_id)
    page = Settlement(task, Move(TaskStatus.HELD, cursor="p2"), calls=1, page=True, reviews=[review("a")])
    assert (await _settle(database, page)).status is TaskStatus.HELD
    page.reviews = [review("b")]
    assert (await _settle(database, page)).status is None
    assert await database.read(_rows) == 1
    assert (await database.read(_job, job_id))["calls"] == 3


@pytest.mark.parametrize(("left", "after"), [(2.0, LEASE_LEFT_SECONDS), (12.0, 12.0)])
async def test_a_settle_leaves_a_task_that_goes_on_enough_of_its_lease(
    database: Database, left: float, after: float
) -> None:
    """Extensions pass over a task that is being settled. Of a lease that is long enough nothing changes."""
    task = await _reviews_task(database, await new_job(database))
    began, lease = await database.write(_leave, task.task_id, left)
    await _settle(database, Settlement(task, Move(TaskStatus.HELD, cursor="p2"), calls=1, page=True))
    ended, then = await database.read(_lease, task.task_id)
    if after == left:
        assert then == lease
    else:
        assert began + after <= then <= ended + after


def _leave(transaction: Transaction, task_id: int, seconds: float) -> tuple[float, float]:
    transaction.connection.execute(
        update(tasks).where(tasks.c.id == task_id).values(lease_until=transaction.now + seconds)
    )
    return _lease(transaction, task_id)


def _lease(transaction: Transaction, task_id: int) -> tuple[float, float]:
    """Now, and the end of the task's lease."""
    until = transaction.connection.execute(select(tasks.c.lease_until).where(tasks.c.id == task_id)).scalar_one()
    return transaction.now, until


async def test_a_page_tells_the_publisher_which_rows_are_new(database: Database) -> None:
    task = await _reviews_task(database, await new_job(database))
    page = Settlement(task, Move(TaskStatus.DONE), page=True, reviews=[review("a"), review("b")])
    await _settle(database, page)

    def announced(transaction: Transaction) -> list[str]:
        row = transaction.connection.execute(select(outbox)).mappings().one()
        between = reviews.c.seq.between(row["first_seq"], row["last_seq"])
        statement = select(reviews.c.review_id).where(between, reviews.c.location_no == row["location_no"])
        return list(transaction.connection.execute(statement.order_by(reviews.c.seq)).scalars())

    assert await database.read(announced) == ["a", "b"]


async def test_a_location_one_account_may_not_read_is_asked_for_through_the_next(database: Database) -> None:
    await new_job(database)
    (accounts,) = await take(database, Stage.ACCOUNTS)
    both = [Account("accounts/1", "One"), Account("accounts/2", "Two")]
    await _settle(database, Settlement(accounts, Move(TaskStatus.DONE), page=True, accounts=both))
    place = Location("locations/1", "Shop", None, None, True)
    for listing in await take(database, Stage.LOCATIONS):
        await _settle(database, Settlement(listing, Move(TaskStatus.DONE), page=True, locations=[place]))
    (task,) = await take(database, Stage.REVIEWS)
    refused = Settlement(
        task,
        Move(TaskStatus.DONE),
        location_end=LocationEnd(LocationState.UNAVAILABLE, "permission_denied"),
        try_other_account=True,
    )
    assert (await _settle(database, refused)).status is TaskStatus.WAITING
    (again,) = await take(database, Stage.REVIEWS)
    assert (task.account, again.account) == ("accounts/1", "accounts/2")
    refused.task = again
    assert (await _settle(database, refused)).job_ended == "completed"

    def state(transaction: Transaction) -> str:
        return str(transaction.connection.execute(select(locations.c.state)).scalar_one())

    assert await database.read(state) == "unavailable"


async def test_a_task_that_dies_ends_the_job_in_dlq(database: Database) -> None:
    job_id = await new_job(database)
    (task,) = await take(database, Stage.ACCOUNTS)
    dead = Move(TaskStatus.DEAD, attempt=4, error=Problem("http_503", "Google answered 503 four times."))
    assert (await _settle(database, Settlement(task, dead, calls=1))).job_ended == "dlq"
    assert (await database.read(_job, job_id))["tasks_dead"] == 1


async def test_what_is_given_back_does_not_look_like_a_crash(database: Database) -> None:
    await new_job(database)
    for _ in range(5):
        (task,) = await take(database, Stage.ACCOUNTS)
        assert task.crashes == 1
        assert await database.write(let_go, [(task.task_id, task.version)], "worker-1") == 1
    (task,) = await take(database, Stage.ACCOUNTS)
    kept = await _settle(database, Settlement(task, Move(TaskStatus.HELD, cursor="p2"), calls=1, page=True))
    assert await database.write(let_go, [(task.task_id, kept.version)], "worker-1") == 1
    (task,) = await take(database, Stage.ACCOUNTS)
    assert (task.cursor, task.crashes) == ("p2", 1)


@pytest.mark.parametrize("copies", [1, 2])
async def test_an_old_copy_of_a_work_message_claims_nothing(database: Database, copies: int) -> None:
    await new_job(database)
    (task,) = await take(database, Stage.ACCOUNTS)
    from app.store.tasks import claim

    old = [(task.task_id, task.version - 1)] * copies
    assert await database.write(claim, old, "worker-2", 15.0) == []
    assert (await _settle(database, Settlement(task, Move(TaskStatus.DONE), page=True))).job_ended == "completed"


async def test_a_look_at_the_jobs_that_wait_takes_no_more_steps_than_it_was_asked_for(database: Database) -> None:
    for _ in range(6):
        await new_job(database)

    def steps(transaction: Transaction) -> int:
        walk = select(func.count()).select_from(waiting_jobs())
        values = {"stage": Stage.ACCOUNTS.value, "tenant0": "default", "after0": "", "most": 4}
        return int(transaction.connection.execute(walk, values).scalar_one())

    assert await database.read(steps) == 4


@pytest.mark.postgresql
async def test_a_transaction_that_gets_no_connection_finds_the_store_away(postgresql_database: str) -> None:
    database = PostgresDatabase(postgresql_database, connections=1, patience=0.1)
    await database.start()
    holds = asyncio.Event()

    def hold(transaction: Transaction) -> None:
        holds.set()
        transaction.connection.execute(text("SELECT pg_sleep(1)"))

    slow = asyncio.create_task(database.write(hold))
    try:
        await holds.wait()
        with pytest.raises(StoreUnavailableError, match="no connection was free"):
            await database.write(lambda _: None)
    finally:
        await slow
        await database.close()


def _sealed_tokens(transaction: Transaction) -> int:
    return int(transaction.connection.execute(select(func.count()).select_from(credentials)).scalar_one())


async def test_a_jobs_token_is_gone_when_the_job_has_ended(database: Database) -> None:
    await new_job(database)
    (task,) = await take(database, Stage.ACCOUNTS)
    assert await database.read(_sealed_tokens) == 1
    await _settle(database, Settlement(task, Move(TaskStatus.DONE), page=True))
    assert await database.read(_sealed_tokens) == 0


def _announced_letters(transaction: Transaction) -> list[str]:
    """The resources of the dead letters that the outbox names, in its order."""
    statement = (
        select(dead_letters.c.resource)
        .join(outbox, and_(outbox.c.first_seq == dead_letters.c.id, outbox.c.last_seq == dead_letters.c.id))
        .where(outbox.c.kind == DEAD_LETTER, outbox.c.location_no == 0, outbox.c.job_id == dead_letters.c.job_id)
        .order_by(outbox.c.id)
    )
    return list(transaction.connection.execute(statement).scalars())


async def test_the_publisher_is_told_of_each_dead_letter_once(database: Database) -> None:
    task = await _reviews_task(database, await new_job(database))
    too_large = [GivenUp("review", f"reviews/{number}", "too_large", "1 MB") for number in range(3)]
    page = Settlement(task, Move(TaskStatus.HELD, cursor="p2"), page=True, given_up=too_large)
    task.version = (await _settle(database, page)).version
    again = Settlement(task, Move(TaskStatus.HELD, cursor="p3"), page=True, given_up=too_large[:1])
    task.version = (await _settle(database, again)).version
    dead = Move(TaskStatus.DEAD, attempt=4, error=Problem("http_503", "Google answered 503 four times."))
    await _settle(database, Settlement(task, dead))
    assert await database.read(_announced_letters) == ["reviews/0", "reviews/1", "reviews/2", "locations/1"]


async def test_without_a_publisher_nothing_is_announced(database: Database) -> None:
    await new_job(database)
    (task,) = await take(database, Stage.ACCOUNTS)
    dead = Move(TaskStatus.DEAD, attempt=4, error=Problem("http_503", "Google answered 503 four times."))
    await database.write(settle, Settlement(task, dead), SettleOptions(announce=False, token_wait=3600.0))
    assert await database.read(_announced_letters) == []
