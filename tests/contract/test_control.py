"""What people do to jobs and dead letters, and what time does to them, over every database."""

from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from app.google.errors import ErrorKind, GoogleAPIError
from app.models.errors import IllegalTransitionError, JobNotFoundError
from app.models.job import HeldTask, JobStatus, LocationState, Stage, TaskStatus
from app.models.settlement import LocationEnd, Move, Settlement, SettleOptions
from app.models.transitions import TRANSITIONS, JobAction, possible
from app.models.views import DeadLetterFilter, JobView, RedriveRequest
from app.pipeline.control import JobControl
from app.pipeline.outcome import Spent
from app.pipeline.refusals import token_refused
from app.pipeline.settle import Situation, settlement_of
from app.results.dead_letters import DeadLetters
from app.results.progress import Progress
from app.retry.policy import ExponentialBackoffPolicy
from app.store.database import Database, Transaction
from app.store.release import Window, release
from app.store.schema import credentials, idempotency_keys, tasks
from app.store.schema import dead_letters as letters_table
from app.store.submit import NewJob, submit
from app.store.tasks import claim
from app.store.tidy import tidy
from tests.support.jobs import DONE, NO_TOKEN, UNREACHABLE, given_up, in_state, settle_one, walked_to_reviews
from tests.support.store import new_job, review, take

EVERYTHING = RedriveRequest(all=True)

TOKEN_GONE = SettleOptions(announce=False, token_wait=-1.0)
"""What `dlq` keeps is over at once."""


class Awake:
    """Counts how often somebody was told of new work."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1


def job_control(database: Database) -> JobControl:
    return JobControl(database, Awake())


def dead_letters(database: Database) -> DeadLetters:
    return DeadLetters(database, Awake())


async def job_view(database: Database, job_id: str) -> JobView:
    return await Progress(database).job("default", job_id)


def _tokens(transaction: Transaction, job_id: str) -> int:
    statement = select(func.count()).select_from(credentials).where(credentials.c.job_id == job_id)
    return int(transaction.connection.execute(statement).scalar_one())


def _statuses(transaction: Transaction, job_id: str) -> list[str]:
    statement = select(tasks.c.status).where(tasks.c.job_id == job_id).order_by(tasks.c.id)
    return list(transaction.connection.execute(statement).scalars())


async def _act(database: Database, action: JobAction, job_id: str) -> None:
    control = job_control(database)
    if action is JobAction.REPLACE_TOKEN:
        await control.replace_token("default", job_id, "key-2", b"another")
    elif action is JobAction.CANCEL:
        await control.cancel("default", job_id)
    elif action is JobAction.PAUSE:
        await control.pause("default", job_id)
    elif action is JobAction.RESUME:
        await control.resume("default", job_id)
    else:
        await dead_letters(database).redrive("default", RedriveRequest(filter=DeadLetterFilter(job_id=job_id)))


@pytest.mark.parametrize("action", JobAction)
async def test_every_action_does_in_every_state_what_the_table_says(database: Database, action: JobAction) -> None:
    for status in JobStatus:
        job_id = await in_state(database, status)
        assert (await job_view(database, job_id)).status is status
        followed = TRANSITIONS[action].get(status, ())
        if followed or action is JobAction.REDRIVE:
            await _act(database, action, job_id)
        else:
            with pytest.raises(IllegalTransitionError) as refused:
                await _act(database, action, job_id)
            assert refused.value.possible == possible(status)
        assert (await job_view(database, job_id)).status in (followed or (status,)), status
        await _close(database, job_id)


async def _close(database: Database, job_id: str) -> None:
    """Take what is left of the job out of the queue, for the next one."""

    def close(transaction: Transaction) -> None:
        transaction.connection.execute(update(tasks).where(tasks.c.job_id == job_id).values(status="done"))

    await database.write(close)


async def test_nobody_steers_another_tenants_job(database: Database) -> None:
    job_id = await new_job(database)
    with pytest.raises(JobNotFoundError):
        await job_control(database).cancel("other", job_id)
    with pytest.raises(JobNotFoundError):
        await job_control(database).replace_token("other", job_id, "key-2", b"another")
    assert (await job_view(database, job_id)).status is JobStatus.PENDING


async def test_a_refusal_names_the_state_and_what_is_possible(database: Database) -> None:
    job_id = await new_job(database)
    with pytest.raises(IllegalTransitionError, match=r"pending.*resume.*Possible now: cancel, pause"):
        await job_control(database).resume("default", job_id)


async def test_a_cancelled_job_has_no_token_and_takes_no_page_any_more(database: Database) -> None:
    job = await walked_to_reviews(database)
    cancelled = await job_control(database).cancel("default", job.id)
    assert (cancelled.status, cancelled.finished_at is not None) == (JobStatus.CANCELLED, True)
    assert await database.read(_tokens, job.id) == 0
    page = Settlement(job.tasks["locations/1"], DONE, calls=1, page=True, reviews=[review("a")])
    assert (await settle_one(database, page)).status is None
    after = await job_view(database, job.id)
    assert (after.progress.reviews.fetched, after.progress.calls) == (0, cancelled.progress.calls)


async def test_a_paused_job_keeps_its_page_in_flight_and_begins_no_other(database: Database) -> None:
    job = await walked_to_reviews(database, ("locations/1", "locations/2"))
    await job_control(database).pause("default", job.id)
    page = Settlement(
        job.tasks["locations/1"], Move(TaskStatus.HELD, cursor="p2"), calls=1, page=True, reviews=[review("a")]
    )
    assert (await settle_one(database, page)).status is TaskStatus.WAITING
    assert await take(database, Stage.REVIEWS) == []
    resumed = await job_control(database).resume("default", job.id)
    assert (resumed.status, resumed.progress.reviews.fetched) == (JobStatus.PROCESSING, 1)
    (again,) = await take(database, Stage.REVIEWS)
    assert again.cursor == "p2"


async def test_a_job_paused_before_its_first_call_is_pending_when_resumed(database: Database) -> None:
    job_id = await new_job(database)
    await job_control(database).pause("default", job_id)
    assert await take(database, Stage.ACCOUNTS) == []
    assert (await job_control(database).resume("default", job_id)).status is JobStatus.PENDING
    assert len(await take(database, Stage.ACCOUNTS)) == 1


async def test_a_new_token_lets_a_parked_job_go_on_at_its_page(database: Database) -> None:
    job_id = await in_state(database, JobStatus.NEEDS_TOKEN)
    parked = await job_view(database, job_id)
    assert parked.error is not None
    assert parked.error.type == NO_TOKEN.type
    awake = Awake()
    job = await JobControl(database, awake).replace_token("default", job_id, "key-2", b"another")
    assert (job.status, job.error, awake.calls) == (JobStatus.PROCESSING, None, 1)
    (task,) = await take(database, Stage.REVIEWS)
    assert (task.sealed_token, task.credential_version, task.cursor) == (b"another", 2, "p5")


async def test_a_refusal_of_the_old_token_does_not_fail_a_job_that_was_given_a_new_one_at_once(
    database: Database,
) -> None:
    job_id = await new_job(database)
    (task,) = await take(database, Stage.ACCOUNTS)
    await job_control(database).replace_token("default", job_id, "key-2", b"another")
    refusal = token_refused(task, GoogleAPIError(ErrorKind.UNAUTHENTICATED, "unauthenticated", "No.", status=401), 0.0)
    settlement = settlement_of(task, refusal, Spent(calls=1), Situation(ExponentialBackoffPolicy(), 0.0))
    assert (await settle_one(database, settlement)).status is TaskStatus.WAITING
    job = await job_view(database, job_id)
    assert (job.status, job.progress.tasks.open, job.error) == (JobStatus.PROCESSING, 1, None)
    (again,) = await take(database, Stage.ACCOUNTS)
    assert (again.sealed_token, again.attempt) == (b"another", 0)
    refusal = token_refused(again, GoogleAPIError(ErrorKind.UNAUTHENTICATED, "unauthenticated", "No.", status=401), 0.0)
    settlement = settlement_of(again, refusal, Spent(calls=1), Situation(ExponentialBackoffPolicy(), 0.0))
    assert (await settle_one(database, settlement)).job_ended is JobStatus.FAILED


async def test_the_project_of_a_new_token_is_asked_for_and_not_told_by_work_with_the_old_one(
    database: Database,
) -> None:
    job = await walked_to_reviews(database, ("locations/1", "locations/2"))
    goes_on = Move(TaskStatus.WAITING, cursor="p2")
    await settle_one(database, Settlement(job.tasks["locations/1"], goes_on, page=True, project="project-1"))
    await job_control(database).replace_token("default", job.id, "key-2", b"another")
    late = Settlement(job.tasks["locations/2"], goes_on, page=True, project="project-1", token_expires_at=1.0)
    await settle_one(database, late)
    assert [task.project for task in await take(database, Stage.REVIEWS)] == [None, None]
    assert (await job_view(database, job.id)).token is None


async def test_what_a_job_waited_for_with_its_old_token_is_over(database: Database) -> None:
    """Also for work in flight, which learns of the wait later."""
    job = await walked_to_reviews(database, ("locations/1", "locations/2"))
    early, late = (
        Settlement(task, Move(TaskStatus.WAITING), waiting=("the day is spent", 3600.0)) for task in job.tasks.values()
    )
    await settle_one(database, early)
    assert (await job_view(database, job.id)).waiting is not None
    replaced = await job_control(database).replace_token("default", job.id, "key-2", b"another")
    assert replaced.waiting is None
    await settle_one(database, late)
    assert (await job_view(database, job.id)).waiting is None


async def test_a_refusal_of_the_old_token_does_not_park_a_job_that_has_a_new_one(database: Database) -> None:
    job = await walked_to_reviews(database)
    await job_control(database).replace_token("default", job.id, "key-2", b"another")
    task = job.tasks["locations/1"]
    refused = Settlement(task, Move(TaskStatus.WAITING), calls=1, token_problem=NO_TOKEN)
    await settle_one(database, refused)
    assert (await job_view(database, job.id)).status is JobStatus.PROCESSING


async def test_a_redriven_task_goes_on_at_its_page_with_all_its_attempts(database: Database) -> None:
    job = await given_up(database)
    result = await dead_letters(database).redrive("default", EVERYTHING)
    assert (result.matched, result.redriven) == (1, 1)
    view = await job_view(database, job.id)
    assert (view.status, view.finished_at, view.error) == (JobStatus.PROCESSING, None, None)
    assert (view.progress.tasks.open, view.progress.tasks.dead) == (1, 0)
    (place,) = (await Progress(database).locations("default", job.id, 10, None)).locations
    assert (place.state, place.cause) == (LocationState.WAITING, None)
    (task,) = await take(database, Stage.REVIEWS)
    assert (task.cursor, task.attempt) == ("p2", 0)
    end = LocationEnd(LocationState.DONE)
    last = Settlement(task, DONE, calls=1, page=True, reviews=[review("a")], total=1, location_end=end)
    assert (await settle_one(database, last)).job_ended is JobStatus.COMPLETED
    assert await database.read(_tokens, job.id) == 0


async def test_whoever_held_a_task_before_it_died_cannot_settle_it_after_its_redrive(database: Database) -> None:
    job = await given_up(database)
    await dead_letters(database).redrive("default", EVERYTHING)
    await take(database, Stage.REVIEWS)
    late = Settlement(job.tasks["locations/1"], DONE, calls=1, page=True, reviews=[review("a")])
    assert (await settle_one(database, late)).status is None


async def test_a_redrive_makes_every_older_copy_of_the_task_worthless(database: Database) -> None:
    await given_up(database)

    def version(transaction: Transaction) -> int:
        statement = select(tasks.c.version).where(tasks.c.stage == Stage.REVIEWS.value)
        return int(transaction.connection.execute(statement).scalar_one())

    before = await database.read(version)
    await dead_letters(database).redrive("default", EVERYTHING)
    assert await database.read(version) == before + 1


async def test_a_letter_whose_task_lives_redrives_nothing(database: Database) -> None:
    job = await given_up(database)
    await dead_letters(database).redrive("default", EVERYTHING)

    def forget(transaction: Transaction) -> None:
        transaction.connection.execute(update(letters_table).values(redriven_at=None))

    await database.write(forget)
    result = await dead_letters(database).redrive("default", EVERYTHING)
    assert (result.matched, result.redriven) == (1, 0)
    assert (await job_view(database, job.id)).progress.tasks.open == 1


async def test_what_was_redriven_is_not_redriven_again_until_it_dies_again(database: Database) -> None:
    job = await given_up(database)
    letters = dead_letters(database)
    await letters.redrive("default", EVERYTHING)
    assert (await letters.redrive("default", EVERYTHING)).matched == 0
    (task,) = await take(database, Stage.REVIEWS)
    await _die(database, task)
    (letter,) = (await letters.page("default", DeadLetterFilter(job_id=job.id), 10, None)).items
    assert letter.redrives == 1
    assert (await letters.redrive("default", EVERYTHING)).redriven == 1


async def _die(database: Database, task: HeldTask) -> None:
    dead = Move(TaskStatus.DEAD, cursor="p2", attempt=4, error=UNREACHABLE)
    await settle_one(database, Settlement(task, dead, calls=4))


async def test_a_redrive_after_the_token_was_wiped_asks_for_a_new_one(database: Database) -> None:
    job = await given_up(database, TOKEN_GONE)
    awake = Awake()
    assert (await DeadLetters(database, awake).redrive("default", EVERYTHING)).redriven == 1
    view = await job_view(database, job.id)
    assert view.status is JobStatus.NEEDS_TOKEN
    assert view.error is not None
    assert await take(database, Stage.REVIEWS) == []
    await job_control(database).replace_token("default", job.id, "key-2", b"another")
    (task,) = await take(database, Stage.REVIEWS)
    assert task.sealed_token == b"another"


async def test_a_token_given_to_a_job_in_dlq_serves_its_redrive(database: Database) -> None:
    job = await given_up(database, TOKEN_GONE)
    await job_control(database).replace_token("default", job.id, "key-2", b"another")
    await dead_letters(database).redrive("default", EVERYTHING)
    (task,) = await take(database, Stage.REVIEWS)
    assert task.sealed_token == b"another"


async def test_a_dry_run_counts_and_changes_nothing(database: Database) -> None:
    job = await given_up(database)
    result = await dead_letters(database).redrive("default", RedriveRequest(all=True, dry_run=True))
    assert (result.matched, result.redriven) == (1, 0)
    assert (await job_view(database, job.id)).status is JobStatus.DLQ


async def test_a_redrive_takes_what_its_filter_names_and_no_other_tenants(database: Database) -> None:
    job = await given_up(database)
    letters = dead_letters(database)
    assert (await letters.redrive("other", EVERYTHING)).matched == 0
    (letter,) = (await letters.page("default", None, 10, None)).items
    assert (await letters.redrive("other", RedriveRequest(ids=[letter.id]))).matched == 0
    elsewhere = RedriveRequest(filter=DeadLetterFilter(cause="http_500", job_id=job.id))
    assert (await letters.redrive("default", elsewhere)).matched == 0
    assert (await letters.redrive("default", RedriveRequest(ids=[letter.id, letter.id + 1]))).redriven == 1


async def test_a_job_that_waits_too_long_for_a_token_fails_and_keeps_what_it_has(database: Database) -> None:
    job = await walked_to_reviews(database)
    task = job.tasks["locations/1"]
    refused = Settlement(task, Move(TaskStatus.WAITING), 1, page=True, reviews=[review("a")], token_problem=NO_TOKEN)
    await settle_one(database, refused)
    assert (await database.write(tidy, 3600.0, 100)).jobs_failed == []
    (failed,) = (await database.write(tidy, -1.0, 100)).jobs_failed
    assert failed.id == job.id
    assert 0.0 <= failed.after < 60.0
    view = await job_view(database, job.id)
    assert (view.status, view.progress.reviews.fetched) == (JobStatus.FAILED, 1)
    assert view.error is not None
    assert view.error.type == "token_expired"
    assert await database.read(_tokens, job.id) == 0


async def test_a_token_kept_for_a_redrive_is_wiped_when_its_time_is_over(database: Database) -> None:
    kept, over = await given_up(database), await given_up(database, TOKEN_GONE)
    assert (await database.write(tidy, 3600.0, 100)).tokens_wiped == 1
    assert await database.read(_tokens, kept.id) == 1
    assert await database.read(_tokens, over.id) == 0


async def test_idempotency_keys_older_than_a_day_are_purged(database: Database) -> None:
    new = [NewJob(f"job-{key}", "default", "key-1", b"sealed", key, "hash") for key in ("old", "new")]
    await database.write(submit, new)

    def age(transaction: Transaction) -> None:
        transaction.connection.execute(
            update(idempotency_keys)
            .where(idempotency_keys.c.key == "old")
            .values(created_at=transaction.now - 25 * 3600)
        )

    await database.write(age)
    assert (await database.write(tidy, 3600.0, 100)).keys_purged == 1
    assert (await database.write(tidy, 3600.0, 100)).keys_purged == 0


async def test_tasks_that_a_cancelled_job_left_waiting_are_closed_turn_by_turn(database: Database) -> None:
    going_on, *ended = [await new_job(database) for _ in range(4)]
    for job_id in ended:
        await job_control(database).cancel("default", job_id)
    first = await database.write(tidy, 3600.0, 2)
    assert (first.tasks_closed, first.sweep_on is None) == (1, False)
    second = await database.write(tidy, 3600.0, 2, first.sweep_on)
    assert second.tasks_closed == 2
    assert [await database.read(_statuses, job_id) for job_id in ended] == [["done"]] * 3
    assert await database.read(_statuses, going_on) == ["waiting"]


async def test_a_task_released_before_its_job_was_cancelled_is_claimed_by_nobody_and_closed(database: Database) -> None:
    job_id = await new_job(database)
    (work,) = (await database.write(release, Stage.ACCOUNTS, Window(10, 10))).works
    await job_control(database).cancel("default", job_id)
    assert await database.write(claim, [(work.task_id, work.version)], "worker-1", 15.0) == []
    assert (await database.write(tidy, 3600.0, 100)).tasks_closed == 1


def test_the_documented_table_is_the_table() -> None:
    text = Path("docs/states.md").read_text()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    header = next(row for row in rows if row[:2] == ["state", "cancel"])
    assert header[1:] == [action.value for action in JobAction]
    cells = {row[0].strip("`"): row[1:] for row in rows if len(row) == len(header)}
    for status in JobStatus:
        expected = [TRANSITIONS[action].get(status, ()) for action in JobAction]
        shown = [" or ".join(f"`{after}`" for after in states) or "-" for states in expected]
        assert cells[status.value] == shown
