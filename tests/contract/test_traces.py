"""A job's trace is kept with the job, on both stores and both brokers, whoever works on it."""

from sqlalchemy import text

from app.models.job import Problem, Stage, TaskStatus
from app.models.settlement import Move, Settlement, SettleOptions
from app.store.database import Database, Transaction
from app.store.outbox import read_batch, stamp
from app.store.release import Window, release
from app.store.settle import settle
from app.store.submit import NewJob, submit
from app.store.tasks import claim, reclaim_all
from tests.support.announcing import held_locations, settle_page
from tests.support.store import new_job, review, take

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ANNOUNCED = SettleOptions(announce=True, token_wait=3600.0)


async def test_every_release_and_claim_tells_it_also_after_a_crash(database: Database) -> None:
    job = NewJob("job-traced", "default", "key-1", b"sealed", traceparent=TRACEPARENT)
    await database.write(submit, [job])
    untraced = await new_job(database)
    for _ in range(2):
        works = (await database.write(release, Stage.ACCOUNTS, Window(10, 10))).works
        assert {work.job_id: work.traceparent for work in works} == {"job-traced": TRACEPARENT, untraced: None}
        held = await database.write(claim, [(work.task_id, work.version) for work in works], "worker-1", 15.0)
        assert {task.job_id: task.traceparent for task in held} == {"job-traced": TRACEPARENT, untraced: None}
        assert await database.write(reclaim_all) == 2


async def test_what_is_to_be_published_tells_it(database: Database) -> None:
    (task,) = await held_locations(database, 1)
    await database.write(_trace, task.job_id)
    await settle_page(database, task, [review("a"), review("b")])
    (other,) = await take_dead(database)
    await database.write(stamp, 100)
    batch = await database.read(read_batch, 0, 100, 1_000_000)
    assert batch is not None
    assert {page.traceparent for page in batch.pages.values()} == {TRACEPARENT}
    assert [(letter.job_id, letter.traceparent) for letter in batch.letters] == [(other, None)]


async def take_dead(database: Database) -> list[str]:
    """The job of a task that was given up; nobody traces it."""
    job_id = await new_job(database)
    (task,) = await take(database, Stage.ACCOUNTS)
    dead = Move(TaskStatus.DEAD, attempt=4, error=Problem("http_503", "Google answered 503."))
    await database.write(settle, Settlement(task, dead, calls=4), ANNOUNCED)
    return [job_id]


def _trace(transaction: Transaction, job_id: str) -> None:
    update = text("UPDATE jobs SET traceparent = :context WHERE id = :job")
    transaction.connection.execute(update, {"context": TRACEPARENT, "job": job_id})


async def test_a_job_that_the_version_before_took_in_is_walked_untraced(database: Database) -> None:
    """It knows nothing of the column."""

    def insert(transaction: Transaction) -> None:
        for statement in (
            "INSERT INTO jobs (id, tenant, status, created_at, updated_at, tasks_open)"
            " VALUES ('job-before', 'default', 'pending', 1.0, 1.0, 1)",
            "INSERT INTO tasks (tenant, job_id, stage, resource, status, due_at)"
            " VALUES ('default', 'job-before', 'accounts', 'accounts', 'waiting', 1.0)",
        ):
            transaction.connection.execute(text(statement))

    await database.write(insert)
    (task,) = await take(database, Stage.ACCOUNTS)
    assert (task.job_id, task.traceparent) == ("job-before", None)
