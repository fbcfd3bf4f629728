"""Pages that were settled and announced: what a publisher has to send, without Google and without workers."""

import asyncio
from collections import Counter

from sqlalchemy import select

from app.models.job import HeldTask, Stage, TaskStatus
from app.models.review import Account, Location, Review
from app.models.settlement import GivenUp, Move, Settlement, SettleOptions
from app.store.database import Database, Transaction
from app.store.schema import locations, reviews
from app.store.settle import settle
from tests.support.store import new_job, review, take

OPTIONS = SettleOptions(announce=True, token_wait=3600.0)


async def held_locations(store: Database, number: int, tenant: str = "default") -> list[HeldTask]:
    """A job with so many locations, all their tasks held."""
    await new_job(store, tenant)
    (accounts,) = await take(store, Stage.ACCOUNTS)
    account = [Account("accounts/1", "Shops")]
    await store.write(settle, Settlement(accounts, Move(TaskStatus.DONE), page=True, accounts=account), OPTIONS)
    (listing,) = await take(store, Stage.LOCATIONS)
    places = [Location(f"locations/{place}", "Shop", None, None, True) for place in range(number)]
    await store.write(settle, Settlement(listing, Move(TaskStatus.DONE), page=True, locations=places), OPTIONS)
    return await take(store, Stage.REVIEWS)


async def settle_page(
    store: Database, task: HeldTask, found: list[Review], given_up: list[GivenUp] | None = None
) -> int:
    """One page of a location, with another to follow; how many of its reviews were new."""
    going_on = Move(TaskStatus.HELD, "next")
    settled = await store.write(
        settle, Settlement(task, going_on, page=True, reviews=found, given_up=given_up or []), OPTIONS
    )
    task.version = settled.version
    return settled.new_reviews


async def walk(store: Database, task: HeldTask, pages: int) -> list[int]:
    """Settle a location's pages, each half of what the page before held; how many reviews of each were new."""
    return [
        await settle_page(store, task, [review(f"{number}") for number in range(5 * page, 5 * page + 10)])
        for page in range(pages)
    ]


async def walk_all(store: Database, tasks: list[HeldTask], pages: int) -> list[list[int]]:
    return await asyncio.gather(*(walk(store, task, pages) for task in tasks))


def stored_reviews(transaction: Transaction) -> Counter[str]:
    """The keys that the reviews of the default tenant's jobs have in the topic."""
    rows = transaction.connection.execute(
        select(locations.c.location, reviews.c.review_id).join(reviews, reviews.c.location_no == locations.c.no)
    )
    return Counter(f"{location}/reviews/{review_id}" for location, review_id in rows)
