"""A job's locations, over every database: which are chosen, why something is missing, and what all of them come to."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, update

from app.models.errors import JobNotFoundError
from app.models.job import JobStatus, LocationState, TaskStatus
from app.models.locations import ALL_LOCATIONS, LocationFilter
from app.models.settlement import LocationEnd, Move, Settlement
from app.results.progress import Progress
from app.store.database import Database, Transaction
from app.store.location_reads import list_locations, reconcile
from app.store.schema import jobs, locations
from tests.support.jobs import finished, given_up, settle_one, walked_to_reviews
from tests.support.store import new_job, plans, review

Row = dict[str, Any]

CAUSES: dict[str, list[str | None]] = {
    "done": [None, "page_token_loop", "page_token_refused", "something_new"],
    "unavailable": ["not_verified", "not_found", "something_new"],
    "dead": ["http_503", "crash_loop"],
    "waiting": [None],
}


@st.composite
def rows(draw: st.DrawFn) -> Row:
    state = draw(st.sampled_from(list(CAUSES)))
    total, fetched = draw(st.none() | st.integers(0, 9)), draw(st.integers(0, 9))
    differs = state != "waiting" and total is not None and total != fetched
    return {
        "state": state,
        "cause": draw(st.sampled_from(list(CAUSES[state]))),
        "account": draw(st.sampled_from(["accounts/1", "accounts/2"])),
        "total": total,
        "fetched": fetched,
        "gap": total - fetched if differs and total is not None else None,
    }


def insert_locations(transaction: Transaction, job_id: str, found: list[Row]) -> None:
    same = {"tenant": "default", "job_id": job_id, "title": "Shop"}
    named = [same | {"location": f"locations/{number:06}"} | row for number, row in enumerate(found)]
    if named:
        transaction.connection.execute(insert(locations), named)


def lacks_something(row: Row) -> bool:
    return row["gap"] is not None or row["state"] in ("unavailable", "dead")


def is_wanted(row: Row, wanted: LocationFilter) -> bool:
    return (
        wanted.account in (None, row["account"])
        and wanted.state in (None, row["state"])
        and (not wanted.gaps or lacks_something(row))
    )


filters = st.builds(
    LocationFilter,
    account=st.none() | st.sampled_from(["accounts/1", "accounts/2", "accounts/3", "accounts/\0"]),
    state=st.none() | st.sampled_from(list(LocationState)),
    gaps=st.booleans(),
)


@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(found=st.lists(rows(), max_size=12), wanted=filters, limit=st.integers(1, 5))
async def test_locations_and_their_sums_are_those_of_a_plain_model(
    database: Database, found: list[Row], wanted: LocationFilter, limit: int
) -> None:
    job_id, progress = await new_job(database), Progress(database)
    await database.write(insert_locations, job_id, found)
    seen, cursor = [], None
    while True:
        page = await progress.locations("default", job_id, limit, cursor, wanted)
        assert len(page.locations) <= limit
        seen += page.locations
        cursor = page.next_cursor
        if cursor is None:
            break
    expected = [f"locations/{number:06}" for number, row in enumerate(found) if is_wanted(row, wanted)]
    assert [place.location for place in seen] == expected
    of_name = {f"locations/{number:06}": row for number, row in enumerate(found)}
    assert all((place.gap_reason is not None) == lacks_something(of_name[place.location]) for place in seen)
    told = await progress.reconciliation("default", job_id)
    done = [row for row in found if row["state"] == "done"]
    pairs = [(row["total"] or 0, row["fetched"]) for row in found]
    assert told.model_dump() == {
        "whole": False,
        "locations": len(found),
        "complete": sum(row["gap"] is None for row in done),
        "with_gap": sum(row["gap"] is not None for row in done),
        **{state: sum(row["state"] == state for row in found) for state in ("unavailable", "dead", "waiting")},
        "unlisted_accounts": 0,
        "expected": sum(total for total, _ in pairs),
        "fetched": sum(fetched for _, fetched in pairs),
        "missing": sum(max(0, total - fetched) for total, fetched in pairs),
        "surplus": sum(max(0, fetched - total) for total, fetched in pairs),
    }
    assert told.locations == told.complete + told.with_gap + told.unavailable + told.dead + told.waiting
    assert told.fetched == told.expected - told.missing + told.surplus


async def test_a_completed_job_with_everything_is_whole(database: Database) -> None:
    job_id = await finished(database, {"locations/1": ["a", "b"], "locations/2": []})
    told = await Progress(database).reconciliation("default", job_id)
    assert (told.whole, told.complete, told.expected, told.fetched, told.missing) == (True, 2, 2, 2, 0)


@pytest.mark.parametrize(
    "lacking",
    [
        {"locations": {"gap": 1}},
        {"locations": {"state": "unavailable"}},
        {"jobs": {"status": JobStatus.CANCELLED.value}},
    ]
    + [{"jobs": {"accounts_found": 2}}],
    ids=str,
)
async def test_a_job_that_lacks_something_is_not_whole(database: Database, lacking: dict[str, dict[str, Any]]) -> None:
    job_id = await finished(database, {"locations/1": ["a"]})

    def take_away(transaction: Transaction) -> None:
        for table, key in ((locations, locations.c.job_id), (jobs, jobs.c.id)):
            if table.name in lacking:
                transaction.connection.execute(update(table).where(key == job_id).values(lacking[table.name]))

    await database.write(take_away)
    assert not (await Progress(database).reconciliation("default", job_id)).whole


async def test_a_location_that_was_given_up_leads_to_its_dead_letter(database: Database) -> None:
    job = await given_up(database)
    (place,) = (await Progress(database).locations("default", job.id, 10, None, LocationFilter(gaps=True))).locations
    assert place.gap_reason == (
        f"Given up (http_503): see /api/v1/dlq?job_id={job.id}. A redrive goes on where it stopped."
    )
    assert (await Progress(database).reconciliation("default", job.id)).dead == 1


async def test_each_gap_has_its_reason(database: Database) -> None:
    names = [f"locations/{number}" for number in range(5)]
    job = await walked_to_reviews(database, names)
    ends = [
        (LocationEnd(LocationState.DONE, "page_token_refused"), 9),
        (LocationEnd(LocationState.DONE), 9),
        (LocationEnd(LocationState.DONE), 0),
        (LocationEnd(LocationState.UNAVAILABLE, "not_verified"), None),
        (LocationEnd(LocationState.DONE), 1),
    ]
    for name, (end, total) in zip(names, ends, strict=True):
        page = [] if total is None else [review("a")]
        move = Move(TaskStatus.DONE)
        await settle_one(
            database, Settlement(job.tasks[name], move, page=True, reviews=page, total=total, location_end=end)
        )
    shown = (await Progress(database).locations("default", job.id, 10, None)).locations
    reasons = [place.gap_reason or "" for place in shown]
    assert [reason.partition(":")[0] for reason in reasons[:3]] == [
        "Google counts 9 reviews, 1 were fetched",
        "Google counts 9 reviews, 1 were fetched",
        "Google counts 0 reviews, 1 were fetched",
    ]
    assert "refused the page token" in reasons[0]
    assert "changed while it was read" in reasons[1]
    assert "taken back" in reasons[2]
    assert "verified locations only" in reasons[3]
    assert reasons[4] == ""


async def test_another_tenants_job_is_unknown(database: Database) -> None:
    job_id = await finished(database, {"locations/1": ["a"]})
    for tenant, asked in (("other", job_id), ("default", "job-unknown"), ("default", "\0")):
        with pytest.raises(JobNotFoundError):
            await Progress(database).reconciliation(tenant, asked)


async def test_the_locations_of_a_job_are_found_among_those_of_all_jobs(database: Database) -> None:
    done = {"state": "done", "cause": None, "account": "accounts/1", "total": 1, "fetched": 1, "gap": None}
    one, *others = [await new_job(database) for _ in range(20)]
    for job_id in (one, *others):
        await database.write(insert_locations, job_id, [done] * 500)

    def read(transaction: Transaction) -> None:
        for wanted in (ALL_LOCATIONS, LocationFilter(gaps=True), LocationFilter(state=LocationState.DEAD)):
            list_locations(transaction, "default", one, limit=100, cursor=None, wanted=wanted)
        reconcile(transaction, "default", one)

    how = [plan for plan in await database.write(plans, read) if "locations" in plan]
    assert len(how) == 4
    assert not [plan for plan in how if "Seq Scan" in plan or "SCAN" in plan]
