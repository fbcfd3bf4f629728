"""What the publisher reads costs what it sends, however many reviews a location has and however many pages wait."""

from sqlalchemy import insert

from app.store.database import Database, Transaction
from app.store.outbox import read_batch, stamp
from app.store.schema import locations, outbox, reviews
from tests.support.store import plans

SMALL_LOCATIONS = 400
PAGE = 50
PAGES = 40
EVERYTHING = 1_000_000


def _one_large_location_among_many(transaction: Transaction) -> None:
    """Its pages lie between the reviews of the others."""
    known = {"tenant": "default", "job_id": "job", "account": "accounts/1", "title": "", "state": "done"}
    names = [known | {"no": no, "location": f"locations/{no}"} for no in range(SMALL_LOCATIONS + 1)]
    transaction.connection.execute(insert(locations), names)
    both = 2 * PAGE
    rows = [
        {
            "seq": seq,
            "location_no": _location_at(seq),
            "tenant": "default",
            "review_id": f"{seq}",
            "name": "",
            "raw": b"{}",
        }
        for seq in range(1, both * PAGES + 1)
    ]
    transaction.connection.execute(insert(reviews), rows)
    pages = [
        {"tenant": "default", "job_id": "job", "location_no": 0, "created_at": 1.0, "position": number + 1}
        | {"first_seq": number * both + 1, "last_seq": (number + 1) * both, "review_count": PAGE}
        for number in range(PAGES)
    ]
    transaction.connection.execute(insert(outbox), pages)


def _location_at(seq: int) -> int:
    return 0 if seq % 2 else 1 + seq % SMALL_LOCATIONS


async def test_reviews_of_a_page_are_found_by_their_numbers(database: Database) -> None:
    await database.write(_one_large_location_among_many)
    batch = await database.read(read_batch, 0, EVERYTHING, EVERYTHING)
    assert batch is not None
    assert len(batch.reviews) == PAGES * PAGE
    how = await database.write(plans, lambda transaction: read_batch(transaction, 0, EVERYTHING, EVERYTHING))
    reading = next(plan for plan in how if "reviews" in plan)
    assert "location_no_review_id" not in reading, "all reviews of the location, for each of its pages"
    assert "Join" not in reading, "all reviews of all locations, for each batch"
    assert "SCAN reviews" not in reading


def _pages_that_wait(transaction: Transaction) -> None:
    row = {"tenant": "default", "job_id": "job", "location_no": 0, "created_at": 1.0, "first_seq": 1, "last_seq": 1}
    transaction.connection.execute(insert(outbox), [row] * 4_000)


async def test_a_tombstone_is_looked_for_without_going_through_all_pages_that_wait(database: Database) -> None:
    await database.write(_pages_that_wait)
    how = await database.write(plans, lambda transaction: stamp(transaction, 10))
    (stamping,) = [plan for plan in how if "ix_outbox_tombstones" in plan]
    assert "SCAN outbox" not in stamping
    assert "Seq Scan on outbox" not in stamping
