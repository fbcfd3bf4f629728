"""What is shown, over every database: pages that neither repeat nor skip, and nobody else's rows."""

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.util import await_only

from app.models.errors import BadCursorError, JobNotFoundError
from app.models.job import JobStatus, LocationState, Stage, TaskStatus
from app.models.settlement import LocationEnd, Move, Settlement
from app.models.views import DeadLetterFilter, FeedPage, ReviewList, ReviewView
from app.pipeline.control import JobControl
from app.results.dead_letters import DeadLetters
from app.results.export import Export
from app.results.progress import Progress
from app.store import review_pages
from app.store.database import Database, Transaction
from app.store.schema import dead_letters, locations, reviews
from tests.support.jobs import finished, given_up, one_dead_of_two, settle_one, walked_to_reviews
from tests.support.store import new_job, review, take

REVIEWS = {
    "locations/1": ["a", "b", "c"],
    "locations/10": [],
    "locations/2": ["a"],
    "locations/3": ["d", "e"],
    "locations/4": [],
}

IN_ORDER = [(place, review_id) for place, ids in sorted(REVIEWS.items()) for review_id in ids]


async def gather(chunks: Awaitable[AsyncIterator[bytes]]) -> bytes:
    return b"".join([chunk async for chunk in await chunks])


async def all_pages(page: Callable[[str | None], Awaitable[bytes]]) -> list[tuple[str, str]]:
    """Every review by (location, id), read page by page."""
    seen: list[tuple[str, str]] = []
    cursor: str | None = None
    while True:
        answer = ReviewList.model_validate_json(await page(cursor))
        seen += [(item.location, item.review_id) for item in answer.reviews]
        cursor = answer.next_cursor
        if cursor is None:
            return seen
        assert answer.reviews


async def test_a_new_job_says_that_it_is_pending(database: Database) -> None:
    view = await Progress(database).job("default", await new_job(database))
    assert (view.status, view.finished_at, view.waiting, view.error, view.token) == ("pending", None, None, None, None)
    assert view.progress.model_dump() == {
        "accounts": {"found": 0, "done": 0},
        "locations": {"found": 0, "done": 0, "unavailable": 0},
        "reviews": {"fetched": 0, "duplicates": 0, "expected": 0},
        "calls": 0,
        "tasks": {"open": 1, "done": 0, "dead": 0},
    }
    assert view.created_at.utcoffset() == timedelta(0)


async def test_a_completed_job_shows_its_counts_and_when_it_ended(database: Database) -> None:
    view = await Progress(database).job("default", await finished(database, REVIEWS))
    assert (view.status, view.progress.reviews.fetched, view.progress.locations.done) == ("completed", 6, 5)
    assert view.finished_at is not None
    assert view.message.startswith("Completed: 6 reviews of 5 locations")


async def test_an_unknown_job_and_another_tenants_are_the_same(database: Database) -> None:
    job_id = await finished(database, REVIEWS)
    progress, export = Progress(database), Export(database)
    for tenant, asked in (("other", job_id), ("default", "job-unknown")):
        with pytest.raises(JobNotFoundError):
            await progress.job(tenant, asked)
        with pytest.raises(JobNotFoundError):
            await progress.locations(tenant, asked, 10, None)
        with pytest.raises(JobNotFoundError):
            await export.page(tenant, asked, 10, None)
        with pytest.raises(JobNotFoundError):
            await export.ndjson(tenant, asked)
        with pytest.raises(JobNotFoundError):
            await export.csv(tenant, asked)
    assert (await progress.jobs("other", None, 10, None)).jobs == []
    assert FeedPage.model_validate_json(await export.feed("other", None, 10)).reviews == []


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "x" * 5000, "' OR 1=1 --"])
async def test_text_that_no_row_can_hold_is_unknown_and_no_error(database: Database, text: str) -> None:
    await given_up(database)
    with pytest.raises(JobNotFoundError):
        await Progress(database).job("default", text)
    with pytest.raises(JobNotFoundError):
        await Export(database).page("default", text, 10, None)
    with pytest.raises(JobNotFoundError):
        await JobControl(database, lambda: None).cancel("default", text)
    letters = DeadLetters(database, lambda: None)
    assert (await letters.page("default", DeadLetterFilter(cause=text), 10, None)).items == []
    assert (await letters.page("default", DeadLetterFilter(job_id=text), 10, None)).items == []


async def test_a_job_that_waits_for_quota_says_until_when_and_no_longer(database: Database) -> None:
    job = await walked_to_reviews(database)
    task = job.tasks["locations/1"]
    waits = Settlement(task, Move(TaskStatus.WAITING, delay=0), waiting=("the minute is used up", 600.0))
    await settle_one(database, waits)
    view = await Progress(database).job("default", job.id)
    assert view.status is JobStatus.PROCESSING
    assert view.waiting is not None
    assert view.waiting.reason == "the minute is used up"
    assert f"quota until {view.waiting.until:%H:%M:%S} UTC" in view.message
    (task,) = await take(database, Stage.REVIEWS)
    await settle_one(database, Settlement(task, Move(TaskStatus.HELD), waiting=("over", -1.0)))
    assert (await Progress(database).job("default", job.id)).waiting is None


async def test_jobs_are_listed_newest_first_page_by_page(database: Database) -> None:
    submitted = [await new_job(database) for _ in range(5)]
    await new_job(database, "other")
    progress = Progress(database)
    seen: list[str] = []
    cursor: str | None = None
    for size in (2, 2, 1):
        page = await progress.jobs("default", None, 2, cursor)
        assert len(page.jobs) == size
        seen += [job.job_id for job in page.jobs]
        cursor = page.next_cursor
    assert cursor is None
    assert seen == submitted[::-1]


async def test_jobs_are_listed_by_state(database: Database) -> None:
    await new_job(database)
    cancelled = await new_job(database)
    await JobControl(database, lambda: None).cancel("default", cancelled)
    page = await Progress(database).jobs("default", JobStatus.CANCELLED, 10, None)
    assert [job.job_id for job in page.jobs] == [cancelled]


async def test_locations_show_googles_totals_beside_what_was_fetched(database: Database) -> None:
    job = await walked_to_reviews(database, ("locations/1", "locations/2", "locations/3"))
    end = LocationEnd(LocationState.DONE, "changed_while_reading")
    page = [review("a"), review("b")]
    await settle_one(
        database,
        Settlement(
            job.tasks["locations/2"],
            Move(TaskStatus.DONE),
            page=True,
            reviews=page,
            total=3,
            average=4.5,
            location_end=end,
        ),
    )
    progress = Progress(database)
    first = await progress.locations("default", job.id, 2, None)
    assert [place.location for place in first.locations] == ["locations/1", "locations/2"]
    assert first.locations[1].model_dump() == {
        "account": "accounts/1",
        "location": "locations/2",
        "title": "Shop locations/2",
        "totals": {"total": 3, "average": 4.5},
        "fetched": 2,
        "state": "done",
        "cause": "changed_while_reading",
        "gap": 1,
        "gap_reason": "Google counts 3 reviews, 2 were fetched: the list ended early (changed_while_reading).",
    }
    last = await progress.locations("default", job.id, 2, first.next_cursor)
    assert ([place.location for place in last.locations], last.next_cursor) == (["locations/3"], None)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 6, 7])
async def test_pages_of_reviews_hold_each_once_in_order(database: Database, limit: int) -> None:
    job_id = await finished(database, REVIEWS)
    await finished(database, {"locations/1": ["x", "a"]})
    export = Export(database)
    assert await all_pages(lambda cursor: export.page("default", job_id, limit, cursor)) == IN_ORDER


async def test_many_small_locations_are_read_over_several_looks(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_pages, "LOCATIONS_A_LOOK", 2)
    job_id = await finished(database, REVIEWS)
    export = Export(database)
    assert await all_pages(lambda cursor: export.page("default", job_id, 5, cursor)) == IN_ORDER


async def test_a_page_is_the_same_by_however_many_queries(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = await finished(database, REVIEWS)
    export = Export(database)
    for rows in (1, 2, 3):
        monkeypatch.setattr(review_pages, "ROWS_A_QUERY", rows)
        assert await all_pages(lambda cursor: export.page("default", job_id, 4, cursor)) == IN_ORDER


async def test_a_page_of_large_reviews_ends_early_and_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_pages, "PAGE_BYTES", 1)
    job_id = await finished(database, REVIEWS)
    export = Export(database)
    page = ReviewList.model_validate_json(await export.page("default", job_id, 100, None))
    assert len(page.reviews) == 1
    assert await all_pages(lambda cursor: export.page("default", job_id, 100, cursor)) == IN_ORDER


async def test_ndjson_holds_googles_objects_in_the_promised_shape(database: Database) -> None:
    job_id = await finished(database, REVIEWS)
    lines = (await gather(Export(database).ndjson("default", job_id))).splitlines()
    assert [(json.loads(line)["location"], json.loads(line)["review_id"]) for line in lines] == IN_ORDER
    assert json.loads(lines[0]) == {
        "job_id": job_id,
        "account": "accounts/1",
        "location": "locations/1",
        "review_id": "a",
        "name": "accounts/1/locations/1/reviews/a",
        "rating": 5,
        "comment": "Good",
        "reviewer": "A. Guest",
        "create_time": "2024-01-01T00:00:00Z",
        "update_time": "2024-01-01T00:00:00Z",
        "reply": None,
        "raw": {"reviewId": "a"},
    }


async def test_csv_has_a_header_and_the_same_rows(database: Database) -> None:
    job_id = await finished(database, REVIEWS)
    text = (await gather(Export(database).csv("default", job_id))).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [(row["location"], row["review_id"]) for row in rows] == IN_ORDER
    assert list(rows[0]) == [name for name in ReviewView.model_fields if name != "raw"]


async def test_an_export_of_a_job_without_reviews_is_empty(database: Database) -> None:
    job_id = await new_job(database)
    assert await gather(Export(database).ndjson("default", job_id)) == b""
    assert (await gather(Export(database).csv("default", job_id))).count(b"\r\n") == 1


async def read_feed(database: Database, tenant: str, after: str | None, expected: int) -> tuple[list[str], str]:
    """Read on until so many were seen and there is no more; the reviews by id, and where that was.

    On PostgreSQL somebody else's transaction, in a database beside this one, may hold the feed back for a moment.
    """
    seen: list[str] = []
    async with asyncio.timeout(60):
        while True:
            page = FeedPage.model_validate_json(await Export(database).feed(tenant, after, 2))
            seen += [item.review_id for item in page.reviews]
            after = page.next_cursor
            if len(seen) >= expected and not page.more:
                return seen, after


async def test_the_feed_goes_through_all_jobs_of_a_tenant_and_on_to_what_is_new(database: Database) -> None:
    await finished(database, {"locations/1": ["a", "b", "c"]})
    await finished(database, {"locations/1": ["foreign"]}, "other")
    await finished(database, {"locations/1": ["d"]})
    seen, end = await read_feed(database, "default", None, 4)
    assert seen == ["a", "b", "c", "d"]
    assert (await read_feed(database, "default", end, 0))[0] == []
    await finished(database, {"locations/2": ["e"]})
    assert (await read_feed(database, "default", end, 1))[0] == ["e"]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.postgresql
async def test_the_feed_never_passes_a_row_that_commits_late(database: Database) -> None:
    job_id = await finished(database, {"locations/1": ["a"]})
    drawn, go_on = asyncio.Event(), asyncio.Event()

    def insert(transaction: Transaction, review_id: str, wait: bool) -> None:
        touch = update(locations).where(locations.c.job_id == job_id).values(title=locations.c.title)
        if wait:
            transaction.connection.execute(touch)
        row = {"tenant": "default", "location_no": 1, "review_id": review_id, "name": review_id, "raw": b"{}"}
        transaction.insert_ignore(reviews, [row])
        if wait:
            drawn.set()
            await_only(go_on.wait())

    late = asyncio.create_task(database.write(insert, "late", True))
    await drawn.wait()
    await database.write(insert, "early", False)
    before, after = await read_feed(database, "default", None, 0)
    assert "early" not in before
    go_on.set()
    await late
    seen, _ = await read_feed(database, "default", after, 3 - len(before))
    assert before + seen == ["a", "late", "early"]


async def test_dead_letters_are_listed_newest_first_by_cause_and_job(database: Database) -> None:
    jobs = [await given_up(database) for _ in range(3)]
    await one_dead_of_two(database)

    def rename(transaction: Transaction) -> None:
        transaction.connection.execute(
            update(dead_letters).where(dead_letters.c.job_id == jobs[0].id).values(cause="http_500")
        )

    await database.write(rename)
    letters = DeadLetters(database, lambda: None)
    first = await letters.page("default", DeadLetterFilter(cause="http_503"), 2, None)
    last = await letters.page("default", DeadLetterFilter(cause="http_503"), 2, first.next_cursor)
    assert [letter.job_id for letter in first.items[1:] + last.items] == [jobs[2].id, jobs[1].id]
    assert last.next_cursor is None
    (of_job,) = (await letters.page("default", DeadLetterFilter(job_id=jobs[0].id), 10, None)).items
    expected = ("http_500", "reviews", "locations/1", 4, "p2", 0)
    shown = (of_job.cause, of_job.stage, of_job.resource, of_job.attempts, of_job.cursor, of_job.redrives)
    assert shown == expected
    assert (await letters.page("other", None, 10, None)).items == []


async def test_a_cursor_of_another_listing_or_job_is_refused(database: Database) -> None:
    one, two = [await finished(database, REVIEWS) for _ in range(2)]
    export, progress = Export(database), Progress(database)
    of_reviews = ReviewList.model_validate_json(await export.page("default", one, 1, None)).next_cursor
    of_jobs = (await progress.jobs("default", None, 1, None)).next_cursor
    with pytest.raises(BadCursorError):
        await export.page("default", two, 1, of_reviews)
    with pytest.raises(BadCursorError):
        await export.page("default", one, 1, of_jobs)
    with pytest.raises(BadCursorError):
        await progress.locations("default", one, 1, of_reviews)
    with pytest.raises(BadCursorError):
        await progress.jobs("default", None, 1, "nonsense")
    with pytest.raises(BadCursorError):
        await export.feed("default", of_jobs, 1)
    with pytest.raises(BadCursorError):
        await DeadLetters(database, lambda: None).page("default", None, 1, "%00")
