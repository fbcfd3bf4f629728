"""Jobs as tests need them: walked to a point by the real transitions, in any state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.models.job import HeldTask, JobStatus, LocationState, Problem, Stage, TaskStatus
from app.models.review import Account, Location, Review
from app.models.settlement import LocationEnd, Move, Settled, Settlement, SettleOptions
from app.store import control
from app.store.database import Database
from app.store.settle import settle
from tests.support.store import new_job, review, take

OPTIONS = SettleOptions(announce=False, token_wait=3600.0)

DONE = Move(TaskStatus.DONE)

NO_TOKEN = Problem("token_expired", "Google no longer accepts the token.", 401)

UNREACHABLE = Problem("http_503", "Google answered 503 four times.", 503)


@dataclass(frozen=True)
class WalkedJob:
    """A job of one account, its reviews tasks held by worker-1, by location."""

    id: str
    tenant: str
    tasks: Mapping[str, HeldTask]


async def settle_one(database: Database, settlement: Settlement, options: SettleOptions = OPTIONS) -> Settled:
    return await database.write(settle, settlement, options)


async def walked_to_reviews(
    database: Database, places: Sequence[str] = ("locations/1",), tenant: str = "default"
) -> WalkedJob:
    """A job whose locations are listed; nothing else may wait in the store."""
    job_id = await new_job(database, tenant)
    (accounts,) = await take(database, Stage.ACCOUNTS)
    shops = Settlement(accounts, DONE, calls=1, page=True, accounts=[Account("accounts/1", "Shops")])
    await settle_one(database, shops)
    (listing,) = await take(database, Stage.LOCATIONS)
    found = [Location(name, f"Shop {name}", None, None, True) for name in places]
    await settle_one(database, Settlement(listing, DONE, calls=1, page=True, locations=found))
    tasks = await take(database, Stage.REVIEWS, limit=len(places))
    return WalkedJob(job_id, tenant, {task.resource: task for task in tasks})


async def finished(database: Database, found: Mapping[str, Sequence[str]], tenant: str = "default") -> str:
    """A completed job with these reviews, location → review ids; its id."""
    return await finished_with(
        database, {place: [review(review_id) for review_id in ids] for place, ids in found.items()}, tenant
    )


async def finished_with(database: Database, found: Mapping[str, list[Review]], tenant: str = "default") -> str:
    """A completed job with these reviews, by location; its id."""
    job = await walked_to_reviews(database, tuple(found), tenant)
    for place, page in found.items():
        end = LocationEnd(LocationState.DONE)
        await settle_one(
            database,
            Settlement(job.tasks[place], DONE, 1, page=True, reviews=page, total=len(page), location_end=end),
        )
    return job.id


async def given_up(database: Database, options: SettleOptions = OPTIONS) -> WalkedJob:
    """A job in `dlq`: its one reviews task died at the page `p2`."""
    job = await walked_to_reviews(database)
    task = job.tasks["locations/1"]
    dead = Move(TaskStatus.DEAD, cursor="p2", attempt=4, error=UNREACHABLE)
    end = LocationEnd(LocationState.DEAD, UNREACHABLE.type)
    await settle_one(database, Settlement(task, dead, calls=4, location_end=end), options)
    return job


async def in_state(database: Database, status: JobStatus) -> str:
    """A job in this state, which its own transitions led to; its id. Each but `pending` has one dead task if it can."""
    if status is JobStatus.PENDING:
        return await new_job(database)
    if status is JobStatus.COMPLETED:
        return await finished(database, {"locations/1": ["a"]})
    if status is JobStatus.DLQ:
        return (await given_up(database)).id
    job = await one_dead_of_two(database)
    if status is JobStatus.PAUSED:
        await database.write(control.pause, job.tenant, job.id)
    elif status is JobStatus.CANCELLED:
        await database.write(control.cancel, job.tenant, job.id)
    elif status is JobStatus.NEEDS_TOKEN:
        await settle_one(database, _refused(job, token_problem=NO_TOKEN))
    elif status is JobStatus.FAILED:
        await settle_one(database, _refused(job, job_problem=NO_TOKEN))
    return job.id


async def one_dead_of_two(database: Database) -> WalkedJob:
    """A job that is processed: the task of locations/1 is dead, that of locations/2 is held."""
    job = await walked_to_reviews(database, ("locations/1", "locations/2"))
    dead = Move(TaskStatus.DEAD, cursor="p2", attempt=4, error=UNREACHABLE)
    end = LocationEnd(LocationState.DEAD, UNREACHABLE.type)
    await settle_one(database, Settlement(job.tasks["locations/1"], dead, calls=4, location_end=end))
    return job


def _refused(job: WalkedJob, *, token_problem: Problem | None = None, job_problem: Problem | None = None) -> Settlement:
    return Settlement(
        job.tasks["locations/2"],
        Move(TaskStatus.WAITING, cursor="p5"),
        calls=1,
        token_problem=token_problem,
        job_problem=job_problem,
    )
