"""Everything announced anew: each stored review once, whatever was announced before and is settled meanwhile."""

import asyncio
from collections import Counter

import pytest

from app.models.settlement import GivenUp
from app.store import republish
from app.store.clearing import note_published
from app.store.database import Database
from app.store.outbox import read_batch, read_head, stamp
from app.store.published import go_on_after
from app.store.republish import announce_everything, published_so_far
from tests.support.announcing import held_locations, settle_page, stored_reviews, walk, walk_all
from tests.support.store import review

EVERYTHING = 1_000_000


async def _announced(database: Database) -> Counter[str]:
    """What the publisher would send from the beginning."""
    keys: Counter[str] = Counter()
    after = (await database.read(read_head)).published
    while (await database.write(stamp, EVERYTHING)).number:
        pass
    while (batch := await database.read(read_batch, after, EVERYTHING, EVERYTHING)) is not None:
        keys.update(f"{batch.pages[row[0]].location}/reviews/{row[1]}" for row in batch.reviews)
        after = batch.position
    return keys


async def test_every_review_is_announced_once_though_some_had_been_sent(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(republish, "NUMBERS_A_BLOCK", 70)
    monkeypatch.setattr(republish, "NUMBERS_A_ROW", 20)
    monkeypatch.setattr(republish, "ROWS_A_DELETE", 3)
    tasks = await held_locations(database, 6)
    await walk_all(database, tasks, 3)
    await database.write(stamp, 9)
    await database.write(note_published, 5, 2)
    settling = asyncio.gather(*(settle_page(database, task, [review("late"), review("later")]) for task in tasks))
    await announce_everything(database)
    await settling
    assert await _announced(database) == await database.read(stored_reviews)
    assert set((await _announced(database)).values()) == {1}


async def test_begun_anew_it_announces_each_review_once_all_the_same(database: Database) -> None:
    (task,) = await held_locations(database, 1)
    await walk(database, task, 4)
    extent = await database.write(republish.measure_extent)
    await database.write(republish.announce_block, extent, 0)
    await announce_everything(database)
    assert await _announced(database) == await database.read(stored_reviews)


async def test_dead_letters_that_wait_are_kept(database: Database) -> None:
    (task,) = await held_locations(database, 1)
    await settle_page(database, task, [review("a")], [GivenUp("review", "locations/0/reviews/b", "too_large", "1 MB")])
    await announce_everything(database)
    await database.write(stamp, EVERYTHING)
    batch = await database.read(read_batch, 0, EVERYTHING, EVERYTHING)
    assert batch is not None
    assert [letter.resource for letter in batch.letters] == ["locations/0/reviews/b"]


async def test_all_that_waits_is_sent_though_another_store_has_used_its_positions(database: Database) -> None:
    """A restored store published as far as this one had stamped, before this one took its place again."""
    (task,) = await held_locations(database, 1)
    await database.write(go_on_after, "C", "T", None)
    for name in "ab":
        given_up = GivenUp("review", f"locations/0/reviews/{name}-large", "too_large", "1 MB")
        await settle_page(database, task, [review(name)], [given_up])
    stamped = (await database.write(stamp, EVERYTHING)).last
    await announce_everything(database)
    start = await database.write(go_on_after, "C", "T", stamped)
    await database.write(stamp, EVERYTHING)
    batch = await database.read(read_batch, start, EVERYTHING, EVERYTHING)
    assert batch is not None
    assert [row[1] for row in batch.reviews] == ["a", "b"]
    assert [letter.resource for letter in batch.letters] == [f"locations/0/reviews/{name}-large" for name in "ab"]


async def test_what_is_told_before_a_decision(database: Database) -> None:
    (task,) = await held_locations(database, 1)
    await settle_page(database, task, [review("a"), review("b")])
    await settle_page(database, task, [review("c")])
    await database.write(go_on_after, "C", "T", None)
    await database.write(stamp, 1)
    await database.write(note_published, 1, EVERYTHING)
    known = await database.read(published_so_far)
    assert (known.position, known.published, known.waiting.reviews, known.reviews) == (1, 1, 1, 3)
