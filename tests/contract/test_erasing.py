"""Retention and erasure: what is hidden at once, what goes in batches, and that nothing of it is left in any table."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import func, insert, select, update

from app.clock import SystemClock
from app.models.durations import DAY_SECONDS
from app.models.erasure import ErasureKind, ErasureStatus
from app.models.errors import DeadLetterNotFoundError, JobNotEndedError, JobNotFoundError
from app.models.settlement import GivenUp
from app.models.views import RedriveRequest
from app.results.dead_letters import DeadLetters
from app.results.erasing import Erasing
from app.store.clearing import note_published
from app.store.control import cancel
from app.store.database import Database, Transaction
from app.store.ends import finish_job
from app.store.erasures import order_job, order_reviewer, order_tenant, read_erasure
from app.store.outbox import read_batch, stamp
from app.store.reads import read_job
from app.store.retention import hide_outdated
from app.store.schema import audit_log, jobs, locations, metadata, reviews, tenants
from app.store.sweep import sweep_step
from app.store.tenants import change_tenant
from tests.contract.test_reads import read_feed
from tests.support.announcing import held_locations, settle_page
from tests.support.store import review

MANY = 1_000_000


def erasing(database: Database, days: int = 0, *, publishes: bool = True) -> Erasing:
    return Erasing(database, SystemClock(), days, publishes=publishes, announce=lambda: None)


async def all_done(database: Database, days: int = 0, *, publishes: bool = True) -> None:
    work = erasing(database, days, publishes=publishes)
    for _ in range(1_000):
        if not await work.turn():
            return
    raise AssertionError("it never came to rest")


async def publish_everything(database: Database) -> None:
    """As a publisher would: everything announced gets its position, and is known to be in the topic."""
    stamped = await database.write(stamp, MANY)
    await database.write(note_published, stamped.last, MANY)


async def job_of(database: Database, *review_ids: str, tenant: str = "default", places: int = 1) -> str:
    """A job that has ended, with these reviews in each of its locations."""
    tasks = await held_locations(database, places, tenant)
    for task in tasks:
        await settle_page(database, task, [review(review_id) for review_id in review_ids])
    job_id = tasks[0].job_id
    await database.write(ends, job_id)
    return job_id


def ends(transaction: Transaction, job_id: str) -> None:
    """The job is completed, whatever its tasks are."""
    finish_job(transaction, job_id, 0, 3600.0)


async def age(database: Database, job_id: str, days: float) -> None:
    def back(transaction: Transaction) -> None:
        long_ago = transaction.now - days * DAY_SECONDS
        transaction.connection.execute(update(jobs).where(jobs.c.id == job_id).values(finished_at=long_ago))

    await database.write(back)


def words_of(transaction: Transaction) -> str:
    """Every value in every table but the audit log's, which keeps the ids of jobs for good."""
    found: list[object] = []
    for table in set(metadata.sorted_tables) - {audit_log}:
        for row in transaction.connection.execute(select(table)):
            found.extend(row)
    return "\n".join(str(value) for value in found)


async def kept(database: Database) -> list[str]:
    def read(transaction: Transaction) -> list[str]:
        statement = (
            select(locations.c.job_id, reviews.c.review_id)
            .join(locations, locations.c.no == reviews.c.location_no)
            .order_by(locations.c.job_id, locations.c.location, reviews.c.review_id)
        )
        return [f"{job_id} {review_id}" for job_id, review_id in transaction.connection.execute(statement)]

    return await database.read(read)


async def test_only_jobs_whose_retention_is_over_are_swept(database: Database) -> None:
    old, young = await job_of(database, "a"), await job_of(database, "a")
    (running,) = await held_locations(database, 1)
    await settle_page(database, running, [review("a")])
    await age(database, old, 31)
    await age(database, young, 29)
    await publish_everything(database)
    await all_done(database, 30)
    await publish_everything(database)
    await all_done(database, 30)
    assert await kept(database) == sorted([f"{young} a", f"{running.job_id} a"])
    assert old not in await database.read(words_of)


async def test_a_tenant_s_own_days_are_before_the_service_s(database: Database) -> None:
    mine, other = await job_of(database, "a", tenant="acme"), await job_of(database, "a", tenant="brand")
    for job_id in (mine, other):
        await age(database, job_id, 10)

    def set_days(transaction: Transaction) -> None:
        for tenant, days in (("acme", 0), ("brand", 9)):
            row = {"tenant": tenant, "retention_days": days, "updated_at": 0.0}
            transaction.connection.execute(insert(tenants).values(row))

    await database.write(set_days)
    await all_done(database, 1, publishes=False)
    assert await kept(database) == [f"{mine} a"]


async def test_what_is_not_yet_on_the_topic_is_hidden_and_not_swept(database: Database) -> None:
    """Retention never sweeps above the publisher's watermark."""
    job_id = await job_of(database, "a", "b")
    await age(database, job_id, 2)
    await all_done(database, 1)
    with pytest.raises(JobNotFoundError):
        await database.read(read_job, "default", job_id)
    assert await kept(database) == [f"{job_id} a", f"{job_id} b"]
    stamped = await database.write(stamp, MANY)
    await all_done(database, 1)
    batch = await database.read(read_batch, 0, MANY, MANY)
    assert batch is not None
    assert [row[1] for row in batch.reviews] == ["a", "b"]
    await database.write(note_published, stamped.last - 1, MANY)
    await all_done(database, 1)
    assert len(await kept(database)) == 2, "the last position is the fence's"
    await database.write(note_published, stamped.last, MANY)
    await all_done(database, 1)
    assert await kept(database) == []
    assert job_id not in await database.read(words_of)


async def test_a_running_job_is_not_erased_until_it_is_cancelled(database: Database) -> None:
    (task,) = await held_locations(database, 1)
    await settle_page(database, task, [review("a")])
    with pytest.raises(JobNotEndedError, match="cancel it first"):
        await database.write(order_job, "default", task.job_id)
    await database.write(cancel, "default", task.job_id)
    with pytest.raises(JobNotFoundError):
        await database.write(order_job, "acme", task.job_id)
    order = await database.write(order_job, "default", task.job_id)
    with pytest.raises(JobNotFoundError):
        await database.read(read_job, "default", task.job_id)
    await all_done(database)
    assert await kept(database) == []
    done = await database.read(read_erasure, "default", order.id)
    assert (done.status, done.jobs_erased, done.subject) == (ErasureStatus.DONE, 1, task.job_id)


async def erase(database: Database, job_id: str) -> None:
    await database.write(order_job, "default", job_id)


async def outlive(database: Database, job_id: str) -> None:
    """The days of its retention."""
    await age(database, job_id, 2)
    await database.write(hide_outdated, 1, None, 10, publishes=True)


@pytest.mark.parametrize("hide", [erase, outlive], ids=["by an order", "by its retention"])
async def test_what_is_hidden_is_in_no_read_before_it_is_swept(
    database: Database, hide: Callable[[Database, str], Awaitable[None]]
) -> None:
    """Rows of other tables still name the tenant."""
    (task,) = await held_locations(database, 1)
    await settle_page(database, task, [review("a")], [GivenUp("review", "locations/0/reviews/b", "too_large", "-")])
    await database.write(ends, task.job_id)
    letters = DeadLetters(database, lambda: None)
    (letter,) = (await letters.page("default", None, 10, None)).items
    other = await job_of(database, "c")
    await hide(database, task.job_id)
    assert await kept(database) == [f"{task.job_id} a", f"{other} c"]
    assert (await read_feed(database, "default", None, 1))[0] == ["c"]
    assert (await letters.page("default", None, 10, None)).items == []
    assert (await letters.causes("default")).causes == []
    assert (await letters.redrive("default", RedriveRequest(all=True, dry_run=True))).matched == 0
    with pytest.raises(DeadLetterNotFoundError):
        await letters.one("default", letter.id)


async def test_an_order_tells_how_many_reviews_were_erased_for_it(database: Database) -> None:
    """Each for the order that its job was hidden for, also when another erases the same job's reviews."""
    first = await job_of(database, "a", "b", places=2)
    await job_of(database, "a", tenant="acme")
    second = await job_of(database, "a", "b", "c", tenant="acme")
    tenants = ("default", "default", "acme", "acme", "acme")
    orders = [
        await database.write(order_job, "default", first),
        await database.write(order_reviewer, "default", ErasureKind.REVIEW, "locations/1/reviews/b"),
        await database.write(order_job, "acme", second),
        await database.write(order_tenant, "acme"),
        await database.write(order_tenant, "acme"),
    ]
    await age(database, await job_of(database, "retained"), 2)
    await all_done(database, 1, publishes=False)
    done = [await database.read(read_erasure, tenant, order.id) for tenant, order in zip(tenants, orders, strict=True)]
    assert {order.status for order in done} == {ErasureStatus.DONE}
    assert [(order.jobs_erased, order.reviews_erased) for order in done] == [(1, 3), (0, 1), (1, 3), (1, 1), (0, 0)]


async def _tombstones(database: Database) -> list[str]:
    """What the publisher would send now, before it is cleared away."""
    stamped = await database.write(stamp, MANY)
    batch = await database.read(read_batch, 0, MANY, MANY)
    found = (
        [] if batch is None else [f"{one.tenant}/{one.location}/reviews/{one.review_id}" for one in batch.tombstones]
    )
    await database.write(note_published, stamped.last, MANY)
    return found


async def test_a_key_gets_one_tombstone_with_its_last_copy(database: Database) -> None:
    first, second = await job_of(database, "a", "b"), await job_of(database, "b", "c")
    await publish_everything(database)
    await database.write(order_job, "default", first)
    await all_done(database)
    assert await _tombstones(database) == ["default/locations/0/reviews/a"]
    await database.write(order_job, "default", second)
    await all_done(database)
    assert await _tombstones(database) == ["default/locations/0/reviews/b", "default/locations/0/reviews/c"]
    assert "reviews/" not in await database.read(words_of)


async def test_retention_sends_no_tombstones(database: Database) -> None:
    await age(database, await job_of(database, "a"), 2)
    await all_done(database, 1)
    await publish_everything(database)
    await all_done(database, 1)
    assert await _tombstones(database) == []
    assert await kept(database) == []


async def test_a_reviewer_is_erased_by_display_name_in_all_jobs_of_the_tenant(database: Database) -> None:
    named = review("x")._replace(reviewer="Ann Other", raw=b'{"reviewer":{"displayName":"Ann Other"}}')
    ended, foreign = await job_of(database, "a"), await job_of(database, "f", tenant="acme")
    (running,) = await held_locations(database, 1)
    await settle_page(database, running, [named, review("y")])
    (other,) = await held_locations(database, 1)
    await settle_page(database, other, [named])
    await database.write(ends, other.job_id)
    await publish_everything(database)
    order = await database.write(order_reviewer, "default", ErasureKind.REVIEWER, "Ann Other")
    await all_done(database)
    expected = [f"{ended} a", f"{foreign} f", f"{running.job_id} y"]
    assert await kept(database) == sorted(expected)
    assert await _tombstones(database) == ["default/locations/0/reviews/x"]
    still = await database.read(read_erasure, "default", order.id)
    assert (still.status, still.reviews_erased, still.subject) == (ErasureStatus.RUNNING, 2, None)
    await settle_page(database, running, [named])
    await database.write(ends, running.job_id)
    await all_done(database)
    assert await kept(database) == sorted(expected)
    assert (await database.read(read_erasure, "default", order.id)).status is ErasureStatus.DONE
    await publish_everything(database)
    assert "Ann Other" not in await database.read(words_of)
    assert (await database.read(read_job, "default", running.job_id)).progress.reviews.fetched == 1


async def test_a_review_is_erased_by_its_name(database: Database) -> None:
    await job_of(database, "a", "b", places=2)
    await publish_everything(database)
    order = await database.write(order_reviewer, "default", ErasureKind.REVIEW, "accounts/9/locations/1/reviews/a")
    await all_done(database)
    assert [text.split()[1] for text in await kept(database)] == ["a", "b", "b"]
    assert (await database.read(read_erasure, "default", order.id)).reviews_erased == 1
    assert await _tombstones(database) == ["default/locations/1/reviews/a"]


async def test_a_tenant_is_erased_with_its_running_jobs(database: Database) -> None:
    ended, other = await job_of(database, "a", tenant="acme"), await job_of(database, "a", tenant="brand")
    (running,) = await held_locations(database, 1, "acme")
    await settle_page(database, running, [review("b")])
    order = await database.write(order_tenant, "acme")
    await all_done(database)
    assert await kept(database) == [f"{other} a"]
    assert sorted(await _tombstones(database)) == ["acme/locations/0/reviews/a", "acme/locations/0/reviews/b"]
    done = await database.read(read_erasure, "acme", order.id)
    assert (done.status, done.jobs_erased) == (ErasureStatus.DONE, 2)
    left = await database.read(words_of)
    assert ended not in left
    assert running.job_id not in left


async def test_numbers_are_never_given_twice(database: Database) -> None:
    """A feed cursor behind the last review must not miss the first one of the next job."""

    def newest(transaction: Transaction) -> tuple[int, int]:
        last = select(func.max(reviews.c.seq)).scalar_subquery(), select(func.max(locations.c.no)).scalar_subquery()
        return tuple(transaction.connection.execute(select(*last)).one())

    await job_of(database, "kept")
    for _ in range(3):
        job_id = await job_of(database, "a", "b")
        before = await database.read(newest)
        await database.write(order_job, "default", job_id)
        await all_done(database)
        await job_of(database, "c")
        after = await database.read(newest)
        assert after[0] > before[0]
        assert after[1] > before[1]


async def test_a_batch_interrupted_anywhere_is_gone_on_with(database: Database) -> None:
    """Each step is a transaction of its own; a fresh process sees only the store."""
    job_id = await job_of(database, *(f"{number}" for number in range(30)), places=3)
    other = await job_of(database, "kept")
    await database.write(order_job, "default", job_id)
    steps = 0
    while (await database.write(sweep_step, 7, publishes=False)).more:
        steps += 1
    assert steps > 90 // 7
    assert await kept(database) == [f"{other} kept"]


async def test_a_task_is_claimed_with_its_tenant_s_own_say_about_reviewers(database: Database) -> None:
    def set_own(transaction: Transaction) -> None:
        for tenant, drops in (("acme", True), ("brand", False)):
            change_tenant(transaction, tenant, {"drop_reviewers": drops})

    await database.write(set_own)
    found = {tenant: (await held_locations(database, 1, tenant))[0] for tenant in ("acme", "brand", "default")}
    assert {tenant: task.drop_reviewers for tenant, task in found.items()} == {
        "acme": True,
        "brand": False,
        "default": None,
    }
