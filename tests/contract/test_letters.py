"""The dead-letter desk over every database: by cause, one with its history, parked, and redriven in portions."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import insert, select

from app.models.errors import DeadLetterNotFoundError
from app.models.job import HeldTask, LocationState, Stage, TaskStatus
from app.models.settlement import LocationEnd, Move, Settlement
from app.models.views import DeadLetterFilter, RedriveRequest, RedriveResult
from app.results.dead_letters import DeadLetters
from app.results.progress import Progress
from app.store.bury import bury
from app.store.database import Database, Transaction
from app.store.letters import count_causes, list_dead_letters, read_dead_letter
from app.store.redrive import count_matches, match_dead_letters
from app.store.schema import dead_letters, tasks
from tests.support.jobs import DONE, UNREACHABLE, WalkedJob, given_up, settle_one, walked_to_reviews
from tests.support.store import plans, review, take

MAX_REDRIVES = 2
EVERYTHING = RedriveRequest(all=True)


def desk(database: Database) -> DeadLetters:
    return DeadLetters(database, lambda: None, MAX_REDRIVES)


async def die_again(database: Database, error: Any = UNREACHABLE) -> None:
    (task,) = await take(database, Stage.REVIEWS)
    await _give_up(database, task, error)


async def _give_up(database: Database, task: HeldTask, error: Any = UNREACHABLE) -> None:
    dead = Move(TaskStatus.DEAD, cursor="p2", attempt=4, error=error)
    await settle_one(
        database, Settlement(task, dead, calls=4, location_end=LocationEnd(LocationState.DEAD, error.type))
    )


async def parked_job(database: Database) -> WalkedJob:
    """A job whose one dead letter was redriven as often as may be, and died again each time."""
    job = await given_up(database)
    for _ in range(MAX_REDRIVES):
        assert (await desk(database).redrive("default", EVERYTHING)).redriven == 1
        await die_again(database)
    return job


async def test_work_that_dies_after_each_redrive_is_parked_and_left_alone(database: Database) -> None:
    job = await parked_job(database)
    (letter,) = (await desk(database).page("default", None, 10, None)).items
    assert (letter.redrives, letter.parked) == (MAX_REDRIVES, True)
    for request in (
        EVERYTHING,
        RedriveRequest(filter=DeadLetterFilter(job_id=job.id)),
        RedriveRequest(ids=[letter.id]),
    ):
        assert await desk(database).redrive("default", request) == RedriveResult(matched=1, redriven=0, parked=1)
    assert (await Progress(database).job("default", job.id)).status == "dlq"


async def test_a_redrive_that_includes_parked_work_tries_it_again_and_the_job_completes(database: Database) -> None:
    job = await parked_job(database)
    result = await desk(database).redrive("default", RedriveRequest(all=True, include_parked=True))
    assert result == RedriveResult(matched=1, redriven=1, parked=0)
    (task,) = await take(database, Stage.REVIEWS)
    assert (task.cursor, task.attempt) == ("p2", 0)
    end = LocationEnd(LocationState.DONE)
    last = Settlement(task, DONE, 1, page=True, reviews=[review("r1")], total=1, location_end=end)
    await settle_one(database, last)
    assert (await Progress(database).job("default", job.id)).status == "completed"
    assert (await desk(database).page("default", None, 10, None)).items == []


async def test_a_letter_tells_how_the_same_work_was_given_up_before(database: Database) -> None:
    await parked_job(database)
    (newest,) = (await desk(database).page("default", None, 10, None)).items
    told = await desk(database).one("default", newest.id)
    assert [letter.redrives for letter in told.earlier] == [1, 0]
    assert all(letter.redriven_at is not None for letter in told.earlier)
    assert (told.redriven_at, told.cursor, told.attempts) == (None, "p2", 4)
    first = await desk(database).one("default", told.earlier[-1].id)
    assert (first.earlier, first.redriven_at is not None) == ([], True)


async def test_another_tenants_letter_is_as_unknown_as_none(database: Database) -> None:
    await given_up(database)
    (letter,) = (await desk(database).page("default", None, 10, None)).items
    for tenant, letter_id in (("other", letter.id), ("default", letter.id + 1)):
        with pytest.raises(DeadLetterNotFoundError):
            await desk(database).one(tenant, letter_id)
    assert (await desk(database).causes("other")).causes == []


def _add_letters(transaction: Transaction, letters: list[dict[str, Any]]) -> None:
    usual = {"tenant": "default", "stage": "reviews", "resource": "locations/1", "detail": "-", "attempts": 1}
    rows = [usual | {"job_id": "job-x", "created_at": 10.0} | letter for letter in letters]
    transaction.connection.execute(insert(dead_letters), rows)


async def test_letters_are_counted_by_cause_and_of_one_job(database: Database) -> None:
    causes = [("http_503", 1.0, 0), ("http_503", 5.0, MAX_REDRIVES), ("timeout", 3.0, 0)]
    rows = [{"cause": cause, "created_at": at, "earlier_redrives": count} for cause, at, count in causes]
    await database.write(_add_letters, [*rows, {"cause": "http_503", "job_id": "job-y", "earlier_redrives": 0}])
    found = (await desk(database).causes("default", "job-x")).causes
    shown = [(one.cause, one.title, one.count, one.parked) for one in found]
    assert shown == [("http_503", "HTTP 503", 2, 1), ("timeout", "Timeout", 1, 0)]
    assert (found[0].oldest.timestamp(), found[0].newest.timestamp()) == (1.0, 5.0)
    most = (await desk(database).causes("default")).causes[0]
    assert (most.cause, most.count) == ("http_503", 3)


async def test_letters_are_listed_by_stage_and_by_whether_they_are_parked(database: Database) -> None:
    rows = [("accounts", 0), ("reviews", 0), ("reviews", MAX_REDRIVES)]
    await database.write(
        _add_letters, [{"cause": "x", "stage": stage, "earlier_redrives": count} for stage, count in rows]
    )
    letters = desk(database)
    assert len((await letters.page("default", DeadLetterFilter(stage="reviews"), 10, None)).items) == 2
    assert [one.redrives for one in (await letters.page("default", None, 10, None, parked=True)).items] == [2]
    first = await letters.page("default", None, 1, None, parked=False)
    second = await letters.page("default", None, 1, first.next_cursor, parked=False)
    assert [one.stage for one in first.items + second.items] == ["reviews", "accounts"]


def _due(transaction: Transaction) -> list[float]:
    waiting = select(tasks.c.due_at).where(tasks.c.status == TaskStatus.WAITING.value).order_by(tasks.c.due_at)
    return [due - transaction.now for due in transaction.connection.execute(waiting).scalars()]


async def test_a_rate_makes_letters_due_one_after_another_over_all_commits(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.results.dead_letters.LETTERS_A_COMMIT", 2)
    job = await walked_to_reviews(database, [f"locations/{number}" for number in range(5)])
    for task in job.tasks.values():
        await _give_up(database, task)
    result = await desk(database).redrive("default", RedriveRequest(all=True, rate=0.1))
    assert result == RedriveResult(matched=5, redriven=5, parked=0)
    due = await database.read(_due)
    gaps = [later - sooner for sooner, later in pairwise(due)]
    assert len(due) == 5
    assert min(gaps) >= 10.0 - 1e-3
    assert due[-1] <= 50.0


async def test_a_dry_run_of_a_redrive_counts_what_is_parked_and_changes_nothing(database: Database) -> None:
    job = await parked_job(database)
    wish = RedriveRequest(all=True, dry_run=True)
    assert await desk(database).redrive("default", wish) == RedriveResult(matched=1, redriven=0, parked=1)
    assert (await Progress(database).job("default", job.id)).progress.tasks.dead == 1


async def test_a_review_that_was_too_large_has_nothing_to_do_with_others_of_its_job(database: Database) -> None:
    await database.write(
        _add_letters,
        [{"stage": "review", "cause": "review_too_large", "resource": f"locations/1/reviews/{one}"} for one in "ab"],
    )
    (newest, _) = (await desk(database).page("default", None, 10, None)).items
    assert (await desk(database).one("default", newest.id)).earlier == []


def _letters_of_years(transaction: Transaction) -> None:
    """Most of them were tried again long ago."""
    rows = [
        {"cause": f"cause_{number % 7}", "task_id": number, "job_id": f"job-{number % 50}"} for number in range(3000)
    ]
    _add_letters(transaction, [row | {"redriven_at": 20.0, "redrives": 1} for row in rows])
    _add_letters(transaction, [row | {"redriven_at": None, "earlier_redrives": 1} for row in rows[:300]])


PAGE: dict[str, Any] = {"parked": None, "max_redrives": MAX_REDRIVES, "limit": 10, "cursor": None}
NEWEST_OF_YEARS = 3300


@pytest.mark.parametrize(
    "look",
    [
        lambda transaction: list_dead_letters(transaction, "default", None, **PAGE),
        lambda transaction: count_causes(transaction, "default", None, MAX_REDRIVES),
        lambda transaction: count_matches(transaction, "default", EVERYTHING, MAX_REDRIVES),
        lambda transaction: match_dead_letters(transaction, "default", EVERYTHING, NEWEST_OF_YEARS, 50),
    ],
    ids=["a page", "causes", "a dry run", "a portion of a redrive"],
)
async def test_letters_that_were_tried_again_long_ago_cost_nothing(
    database: Database, look: Callable[[Transaction], object]
) -> None:
    await database.write(_letters_of_years)
    *_, plan = await database.write(plans, look)
    assert "ix_dead_letters_still_dead" in plan or "ix_dead_letters_causes" in plan


async def test_a_letters_history_is_found_among_those_of_its_job(database: Database) -> None:
    await database.write(_letters_of_years)
    *_, plan = await database.write(
        plans, lambda transaction: read_dead_letter(transaction, "default", NEWEST_OF_YEARS, MAX_REDRIVES)
    )
    assert "ix_dead_letters_redriven" in plan


async def test_work_that_dies_looks_only_for_its_own_letters(database: Database) -> None:
    """However many other letters its job has."""
    job = await walked_to_reviews(database)
    await database.write(_letters_of_years)
    dead = Move(TaskStatus.DEAD, attempt=4, error=UNREACHABLE)
    how = await database.write(
        plans, lambda transaction: bury(transaction, job.tasks["locations/1"], dead, announce=False)
    )
    assert "ix_dead_letters_redriven" in how[0]
