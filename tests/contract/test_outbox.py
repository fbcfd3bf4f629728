"""The outbox: what a settle announces is read once, in the order in which it became visible, in bounded batches."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain

import asyncpg
import pytest
from sqlalchemy import select

from app.models.job import Problem, TaskStatus
from app.models.settlement import GivenUp, Move, Settlement, SettleOptions
from app.store.clearing import note_published
from app.store.database import Database, Transaction
from app.store.migrate import migrate
from app.store.outbox import Batch, Lag, lag, read_batch, read_head, stamp
from app.store.postgresql import PostgresDatabase
from app.store.published import RepublishNeededError, accept_any_topic, end_decision, go_on_after
from app.store.schema import outbox
from app.store.settle import settle
from tests.support.announcing import OPTIONS, held_locations, settle_page, stored_reviews, walk_all
from tests.support.locks import until_somebody_waits
from tests.support.store import review

EVERYTHING = 1_000_000
LOCATIONS = 6
PAGES = 5


@pytest.fixture
async def store(postgresql_database: str) -> AsyncIterator[PostgresDatabase]:
    async with _replica(postgresql_database) as opened:
        await opened.write(migrate)
        yield opened


@asynccontextmanager
async def _replica(url: str) -> AsyncIterator[PostgresDatabase]:
    opened = PostgresDatabase(url)
    await opened.start()
    yield opened
    await opened.close()


async def _read(database: Database, after: int = 0, most: int = EVERYTHING, most_bytes: int = EVERYTHING) -> Batch:
    batch = await database.read(read_batch, after, most, most_bytes)
    assert batch is not None
    return batch


def _ids(batch: Batch) -> list[tuple[int, str]]:
    return [(row[0], row[1]) for row in batch.reviews]


async def test_an_outbox_row_names_exactly_the_new_rows_of_its_page(database: Database) -> None:
    new = await walk_all(database, await held_locations(database, LOCATIONS), PAGES)
    await database.write(stamp, EVERYTHING)
    batch = await _read(database)
    assert Counter(Counter(row[0] for row in batch.reviews).values()) == Counter(chain.from_iterable(new))
    keys = Counter(f"{batch.pages[row[0]].location}/reviews/{row[1]}" for row in batch.reviews)
    assert keys == await database.read(stored_reviews)


@pytest.mark.postgresql
async def test_review_numbers_are_drawn_one_by_one(store: PostgresDatabase) -> None:
    """Were they handed to connections in blocks, the range of one page could hold a row of the location's next."""

    def cache(transaction: Transaction) -> int:
        sequence = (
            "SELECT seqcache FROM pg_sequence WHERE seqrelid = pg_get_serial_sequence('reviews', 'seq')::regclass"
        )
        return int(transaction.connection.exec_driver_sql(sequence).scalar_one())

    assert await store.read(cache) == 1


async def test_a_batch_ends_at_its_bounds_and_never_within_a_page(database: Database) -> None:
    (task,) = await held_locations(database, 1)
    for page in range(4):
        await settle_page(database, task, [review(f"{page}-{number}") for number in range(10)])
    assert await database.write(stamp, EVERYTHING) == (4, 4)
    assert (await _read(database, most=25)).position == 2, "two pages hold 20 reviews"
    assert (await _read(database, most=1)).position == 1, "one page, however large"
    one = sum(len(raw) for *_, raw in (await _read(database, most=1)).reviews)
    assert (await _read(database, most_bytes=3 * one)).position == 3
    last = await _read(database, after=3)
    assert (last.position, last.more, len(last.reviews)) == (4, False, 10)
    assert (await _read(database, most=1)).more
    assert await database.read(read_batch, 4, EVERYTHING, EVERYTHING) is None


async def test_so_many_rows_are_stamped_at_most(database: Database) -> None:
    (task,) = await held_locations(database, 1)
    for page in range(3):
        await settle_page(database, task, [review(f"{page}")])
    assert [await database.write(stamp, 2) for _ in range(3)] == [(2, 2), (1, 3), (0, 3)]
    assert _ids(await _read(database)) == [(1, "0"), (2, "1"), (3, "2")]


async def test_what_is_published_is_cleared_away_and_the_copy_never_goes_back(database: Database) -> None:
    (task,) = await held_locations(database, 1)
    for page in range(3):
        await settle_page(database, task, [review(f"{page}")])
    await database.write(stamp, EVERYTHING)
    assert await database.write(note_published, 2, 1) == 1, "at most so many at once"
    assert await database.write(note_published, 2, EVERYTHING) == 1
    await database.write(note_published, 1, EVERYTHING)
    head = await database.read(read_head)
    assert (head.position, head.published) == (3, 2)
    assert _ids(await _read(database)) == [(3, "2")]


async def test_the_lag_counts_what_is_not_published_stamped_or_not(database: Database) -> None:
    assert await database.read(lag) == Lag(0, 0.0)
    (task,) = await held_locations(database, 1)
    await settle_page(database, task, [review("a"), review("b")])
    await database.write(stamp, EVERYTHING)
    await settle_page(database, task, [review("c")])
    behind = await database.read(lag)
    assert behind.reviews == 3
    assert behind.seconds > 0.0
    await database.write(note_published, 1, 0)
    assert (await database.read(lag)).reviews == 1, "what is not cleared away yet is published none the less"


async def test_dead_letters_go_the_same_way(database: Database) -> None:
    (task,) = await held_locations(database, 1)
    item = GivenUp("review", "locations/0/reviews/huge", "too_large", "It has 1 MB.")
    await settle_page(database, task, [review("a")], [item])
    dead = Move(TaskStatus.DEAD, "page-2", error=Problem("server_error", "Google answered 500"), attempt=4)
    await database.write(settle, Settlement(task, dead), OPTIONS)
    await database.write(stamp, EVERYTHING)
    batch = await _read(database)
    assert [row[1] for row in batch.reviews] == ["a"]
    given_up, page = batch.letters
    assert (given_up.cause, given_up.resource, given_up.attempts) == ("too_large", "locations/0/reviews/huge", 1)
    assert (page.stage, page.resource, page.cause, page.attempts, page.cursor) == (
        "reviews",
        "locations/0",
        "server_error",
        4,
        "page-2",
    )
    assert len({batch.pages.popitem()[0], given_up.position, page.position}) == 3


async def test_without_a_publisher_nothing_is_announced(database: Database) -> None:
    (task,) = await held_locations(database, 1)
    quiet = SettleOptions(announce=False, token_wait=0.0)
    dead = Move(TaskStatus.DEAD, error=Problem("server_error", "Google answered 500"), attempt=4)
    await database.write(settle, Settlement(task, dead, reviews=[review("a")]), quiet)
    assert await database.write(stamp, EVERYTHING) == (0, 0)


@pytest.mark.postgresql
async def test_positions_follow_visibility_where_ids_do_not(store: PostgresDatabase, postgresql_database: str) -> None:
    (early,) = await held_locations(store, 1)
    (late,) = await held_locations(store, 1)
    other = await asyncpg.connect(postgresql_database)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT 1 FROM jobs WHERE id = $1 FOR UPDATE", early.job_id)
    settling = asyncio.create_task(settle_page(store, early, [review("early")]))
    await until_somebody_waits(other)
    async with _replica(postgresql_database) as another:
        await settle_page(another, late, [review("late")])
    await store.write(stamp, EVERYTHING)
    first = await _read(store)
    await transaction.commit()
    await other.close()
    await settling
    await store.write(stamp, EVERYTHING)
    assert _ids(first) == [(1, "late")]
    assert _ids(await _read(store)) == [(1, "late"), (2, "early")]

    def positions_by_id(transaction: Transaction) -> list[int | None]:
        return list(transaction.connection.execute(select(outbox.c.position).order_by(outbox.c.id)).scalars())

    assert await store.read(positions_by_id) == [2, 1], "a cursor over ids would never have seen the early page"


async def _announced(database: Database, stamped: int, unstamped: int) -> None:
    """A store that has published to topic T of cluster C, up to position 2."""
    (task,) = await held_locations(database, 1)
    for page in range(stamped):
        await settle_page(database, task, [review(f"{page}")])
    await database.write(stamp, EVERYTHING)
    for page in range(unstamped):
        await settle_page(database, task, [review(f"{stamped + page}")])
    await database.write(go_on_after, "C", "T", None)
    await database.write(note_published, 2, EVERYTHING)


@pytest.mark.parametrize(("reached", "expected"), [(None, 2), (1, 2), (2, 2), (4, 4)])
async def test_the_larger_of_the_two_positions_wins(database: Database, reached: int | None, expected: int) -> None:
    """None: Kafka forgot it in an idle week. 4: the copy lagged when the publisher died."""
    await _announced(database, 5, 1)
    assert await database.write(go_on_after, "C", "T", reached) == expected
    assert (await database.read(read_head)).published == expected


@pytest.mark.parametrize(
    ("topic", "reached", "message"),
    [
        (("C", "new"), None, "deleted and made anew"),
        (("other", "T"), None, "on another Kafka cluster"),
        (("C", "T"), 6, "restored from a backup"),
    ],
)
async def test_another_topic_or_an_older_store_stops_until_somebody_decides(
    database: Database, topic: tuple[str, str], reached: int | None, message: str
) -> None:
    await _announced(database, 5, 1)
    for _ in range(2):
        with pytest.raises(RepublishNeededError, match=message):
            await database.write(go_on_after, *topic, reached)
    await database.write(accept_any_topic)
    start = await database.write(go_on_after, *topic, reached)
    await database.write(stamp, EVERYTHING)
    batch = await _read(database, after=start)
    assert [row[1] for row in batch.reviews] == ["2", "3", "4", "5"], "all that the store does not know to be published"
    assert min(batch.pages) > max(5, reached or 0), "under positions that nobody has used"
    assert await database.write(go_on_after, *topic, start) == start, "and it is the right one from now on"


async def test_a_store_that_never_published_refuses_a_topic_that_has_positions(database: Database) -> None:
    with pytest.raises(RepublishNeededError, match="or is another one"):
        await database.write(go_on_after, "C", "T", 7)


async def test_a_needless_decision_does_not_wait_for_the_next_topic(database: Database) -> None:
    await _announced(database, 5, 0)
    await database.write(go_on_after, "C", "T", 4)
    await database.write(accept_any_topic)
    await database.write(end_decision, "C", "T")
    assert await database.write(go_on_after, "C", "T", 4) == 4
    with pytest.raises(RepublishNeededError, match="made anew"):
        await database.write(go_on_after, "C", "another", None)


async def test_a_needless_decision_changes_nothing(database: Database) -> None:
    await _announced(database, 5, 0)
    await database.write(accept_any_topic)
    assert await database.write(go_on_after, "C", "T", 4) == 4
    assert [row[1] for row in (await _read(database, after=4)).reviews] == ["4"]
