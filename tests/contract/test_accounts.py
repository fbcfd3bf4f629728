"""A job's accounts, over every database: pages by name, and what a plain count of the locations comes to."""

import random
from collections import defaultdict
from typing import Any

import pytest
from sqlalchemy import insert

from app.models.errors import BadCursorError, JobNotFoundError
from app.models.job import LocationState, Stage, TaskStatus
from app.models.overview import AccountView
from app.models.review import Account, Location
from app.models.settlement import LocationEnd, Move, Settlement
from app.results.progress import Progress
from app.store.database import Database, Transaction
from app.store.schema import locations, tasks
from tests.support.jobs import DONE, UNREACHABLE, finished, given_up, settle_one, walked_to_reviews
from tests.support.store import new_job, review, take

ACCOUNTS = [f"accounts/{number}" for number in (1, 10, 2, 3, 4)]
"""In the order of their names."""


async def all_accounts(database: Database, job_id: str, limit: int = 100) -> list[AccountView]:
    """Read page by page."""
    found: list[AccountView] = []
    cursor: str | None = None
    while True:
        page = await Progress(database).accounts("default", job_id, limit, cursor)
        found += page.accounts
        cursor = page.next_cursor
        if cursor is None:
            return found
        assert len(page.accounts) == limit


async def with_accounts(database: Database) -> str:
    """A job whose accounts are listed, their locations not."""
    job_id = await new_job(database)
    (first,) = await take(database, Stage.ACCOUNTS)
    found = [Account(name, f"Title of {name}") for name in reversed(ACCOUNTS)]
    await settle_one(database, Settlement(first, DONE, page=True, accounts=found))
    return job_id


async def test_a_new_job_has_no_accounts_yet(database: Database) -> None:
    assert await all_accounts(database, await new_job(database)) == []


async def test_an_account_shows_what_its_locations_come_to(database: Database) -> None:
    job_id = await finished(database, {"locations/1": ["a", "b"], "locations/2": ["c"], "locations/3": []})
    (account,) = await all_accounts(database, job_id)
    assert account.model_dump() == {
        "account": "accounts/1",
        "title": "Shops",
        "state": "done",
        "locations": {"found": 3, "done": 3, "unavailable": 0, "dead": 0},
        "reviews": {"fetched": 3, "expected": 3},
    }


async def test_a_location_that_was_given_up_counts_as_dead(database: Database) -> None:
    (account,) = await all_accounts(database, (await given_up(database)).id)
    assert account.locations.model_dump() == {"found": 1, "done": 0, "unavailable": 0, "dead": 1}


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 6])
async def test_accounts_are_listed_by_name_page_by_page(database: Database, limit: int) -> None:
    await finished(database, {"locations/1": ["a"]})
    job_id = await with_accounts(database)
    found = await all_accounts(database, job_id, limit)
    assert [(account.account, account.title) for account in found] == [(name, f"Title of {name}") for name in ACCOUNTS]


async def test_an_accounts_state_is_that_of_its_listing(database: Database) -> None:
    job_id = await with_accounts(database)
    assert {account.state for account in await all_accounts(database, job_id)} == {"waiting"}
    listings = {task.resource: task for task in await take(database, Stage.LOCATIONS, limit=4)}
    first, second, third, fourth = listings.values()
    await settle_one(database, Settlement(first, DONE, page=True))
    await settle_one(database, Settlement(second, Move(TaskStatus.DEAD, error=UNREACHABLE)))
    await settle_one(database, Settlement(third, Move(TaskStatus.WAITING, cursor="p2", pages=1), page=True))
    (left,) = set(ACCOUNTS) - set(listings)
    found = {account.account: account.state for account in await all_accounts(database, job_id)}
    assert [found[task.resource] for task in (first, second, third, fourth)] == ["done", "dead", "listing", "listing"]
    assert found[left] == "waiting"


async def test_a_location_of_several_accounts_counts_under_the_one_it_is_read_under(database: Database) -> None:
    job_id = await with_accounts(database)
    shared = [Location("locations/1", "Shop", None, None, True)]
    tasks_ = {task.resource: task for task in await take(database, Stage.LOCATIONS)}
    for name in ACCOUNTS[:2]:
        await settle_one(database, Settlement(tasks_[name], DONE, page=True, locations=shared))
    counted = {account.account: account.locations.found for account in await all_accounts(database, job_id)}
    assert [counted[name] for name in ACCOUNTS] == [1, 0, 0, 0, 0]
    (reading,) = await take(database, Stage.REVIEWS)
    refused = LocationEnd(LocationState.UNAVAILABLE, "permission_denied")
    await settle_one(database, Settlement(reading, DONE, location_end=refused, try_other_account=True))
    counted = {account.account: account.locations.found for account in await all_accounts(database, job_id)}
    assert [counted[name] for name in ACCOUNTS] == [0, 1, 0, 0, 0]


async def test_reviews_are_counted_while_they_are_read(database: Database) -> None:
    job = await walked_to_reviews(database, ("locations/1", "locations/2"))
    page = [review("a"), review("b")]
    going_on = Settlement(
        job.tasks["locations/1"], Move(TaskStatus.HELD, cursor="p2"), page=True, reviews=page, total=9
    )
    await settle_one(database, going_on)
    (account,) = await all_accounts(database, job.id)
    assert account.locations.model_dump() == {"found": 2, "done": 0, "unavailable": 0, "dead": 0}
    assert account.reviews.model_dump() == {"fetched": 2, "expected": 9}


async def test_any_job_comes_to_what_a_plain_count_says(database: Database) -> None:
    draw = random.Random(9)
    rows = [
        {
            "tenant": "default",
            "job_id": "job-any",
            "location": f"locations/{number}",
            "account": draw.choice(ACCOUNTS[:4]),
            "title": "",
            "state": draw.choice([state.value for state in LocationState]),
            "total": draw.choice([None, draw.randrange(100)]),
            "fetched": draw.randrange(100),
        }
        for number in range(300)
    ]

    def write(transaction: Transaction) -> None:
        listing: dict[str, Any] = {"tenant": "default", "job_id": job_id, "stage": Stage.LOCATIONS.value}
        listing |= {"status": TaskStatus.DONE.value, "due_at": 1.0}
        transaction.connection.execute(insert(tasks), [listing | {"resource": name} for name in ACCOUNTS])
        transaction.connection.execute(insert(locations), [row | {"job_id": job_id} for row in rows])

    job_id = await new_job(database)
    await database.write(write)
    model: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        of_account = model[str(row["account"])]
        of_account["found"] += 1
        of_account[str(row["state"])] += 1
        of_account["fetched"] += int(str(row["fetched"]))
        of_account["expected"] += int(str(row["total"] or 0))
    for account in await all_accounts(database, job_id, 2):
        numbers = account.locations.model_dump() | account.reviews.model_dump()
        assert numbers == {name: model[account.account][name] for name in numbers}


async def test_another_tenants_job_and_another_jobs_cursor_are_refused(database: Database) -> None:
    job_id, other = await with_accounts(database), await new_job(database)
    progress = Progress(database)
    for tenant, asked in (("other", job_id), ("default", "unknown"), ("default", "\0")):
        with pytest.raises(JobNotFoundError):
            await progress.accounts(tenant, asked, 10, None)
    cursor = (await progress.accounts("default", job_id, 2, None)).next_cursor
    assert cursor is not None
    with pytest.raises(BadCursorError):
        await progress.accounts("default", other, 2, cursor)
    with pytest.raises(BadCursorError):
        await progress.locations("default", job_id, 2, cursor)
