"""What a filter lets through, over every database: held against a plain model, page by page and as files."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple
from unicodedata import normalize
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.models.errors import BadCursorError
from app.models.review import Review
from app.models.review_filter import EVERYTHING, ReviewFilter
from app.models.views import ReviewList
from app.results import export as export_module
from app.results.export import Export
from app.store import review_pages
from app.store.database import Database
from tests.support.jobs import finished, finished_with
from tests.support.store import plans

BEGIN = datetime(2026, 1, 31, 12, tzinfo=UTC)

WORDS = ["Straße", "STRASSE", "éclair", "E\u0301CLAIR", "ПРИВЕТ", "привет", "good", "GOOD", "100%", "a_b", "ＯＫ", "İ"]

examples = settings(
    max_examples=30,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a job in a database is nothing to shrink
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Written(NamedTuple):
    """A time as Google may write it, and what it means: microseconds behind BEGIN, None when it means nothing."""

    text: str | None
    microseconds: int | None


def _written(microseconds: int, zone: int, digits: int) -> Written:
    moment = (BEGIN + timedelta(microseconds=microseconds)).astimezone(timezone(timedelta(minutes=zone)))
    offset = "Z" if zone == 0 else moment.isoformat()[-6:]
    fraction = f"{moment:%f}".ljust(digits, "0")
    return Written(f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction}{offset}", microseconds)


microseconds = st.integers(-3, 3) | st.integers(-(10**12), 10**12)
times = st.builds(_written, microseconds, st.sampled_from([0, 60, -570]), st.sampled_from([6, 9])) | st.sampled_from(
    [Written(None, None), Written("", None), Written("yesterday", None), Written("2026-02-30T00:00:00Z", None)]
)
texts = st.none() | st.just("") | st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join)


class Item(NamedTuple):
    """A review as the model knows it."""

    rating: int | None
    comment: str | None
    reply: str | None
    written: Written

    def review(self, review_id: str) -> Review:
        name = f"accounts/1/locations/1/reviews/{review_id}"
        return Review(
            review_id, name, self.rating, self.comment, "A. Guest", None, self.written.text, self.reply, b'{"a": 1}'
        )


items = st.builds(Item, st.none() | st.integers(1, 5), texts, texts, times)
worlds = st.lists(st.lists(items, max_size=7), max_size=6)

filters = st.builds(
    ReviewFilter,
    location=st.none() | st.integers(1, 7).map("locations/{}".format),
    rating=st.frozensets(st.sampled_from(["1", "2", "3", "4", "5", "none"]), max_size=3),
    since=st.none() | microseconds.map(lambda at: (BEGIN + timedelta(microseconds=at)).isoformat()),
    has_reply=st.none() | st.booleans(),
    text=st.none() | st.sampled_from([*WORDS, "o", "%", "_", "ß", "absent"]),
)


def _plain(text: str) -> str:
    return normalize("NFKC", normalize("NFKC", text).casefold())


def is_wanted(item: Item, place: str, wanted: ReviewFilter) -> bool:
    """The model."""
    since = (
        None if wanted.since is None else (datetime.fromisoformat(wanted.since) - BEGIN) // timedelta(microseconds=1)
    )
    at, said = item.written.microseconds, [text for text in (item.comment, item.reply) if text is not None]
    return (
        wanted.location in (None, place)
        and (not wanted.rating or str(item.rating or "none") in wanted.rating)
        and wanted.has_reply in (None, item.reply is not None)
        and (since is None or (at is not None and at >= since))
        and (wanted.text is None or any(_plain(wanted.text) in _plain(text) for text in said))
    )


@contextmanager
def bounds(rows_a_query: int, most_looked_at: int, rows_a_read: int) -> Iterator[None]:
    with (
        patch.object(review_pages, "ROWS_A_QUERY", rows_a_query),
        patch.object(review_pages, "MOST_LOOKED_AT", most_looked_at),
        patch.object(export_module, "ROWS_A_READ", rows_a_read),
    ):
        yield


async def pages_of(export: Export, job_id: str, limit: int, wanted: ReviewFilter) -> list[ReviewList]:
    pages: list[ReviewList] = []
    cursor: str | None = None
    while not pages or cursor is not None:
        pages.append(ReviewList.model_validate_json(await export.page("default", job_id, limit, cursor, wanted)))
        cursor = pages[-1].next_cursor
    return pages


async def whole(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([part async for part in parts])


@examples
@given(
    world=worlds,
    wanted=filters,
    limit=st.integers(1, 9),
    sizes=st.tuples(st.integers(1, 5), st.integers(1, 8), st.integers(1, 4)) | st.just((250, 10_000, 1000)),
)
async def test_pages_and_files_hold_what_the_filter_means_and_nothing_else(
    database: Database, world: list[list[Item]], wanted: ReviewFilter, limit: int, sizes: tuple[int, int, int]
) -> None:
    known = {
        (f"locations/{number}", f"r{at}"): item
        for number, place in enumerate(world, 1)
        for at, item in enumerate(place)
    }
    found = {
        f"locations/{number}": [item.review(f"r{at}") for at, item in enumerate(place)]
        for number, place in enumerate(world, 1)
    }
    job_id, export = await finished_with(database, found), Export(database)
    expected = sorted(key for key, item in known.items() if is_wanted(item, key[0], wanted))
    with bounds(*sizes):
        pages = await pages_of(export, job_id, limit, wanted)
        ndjson = await whole(await export.ndjson("default", job_id, wanted))
        table = await whole(await export.csv("default", job_id, wanted))
    assert [(one.location, one.review_id) for page in pages for one in page.reviews] == expected
    assert all(len(page.reviews) <= limit for page in pages)
    lines = [json.loads(line) for line in ndjson.splitlines()]
    assert [(line["location"], line["review_id"]) for line in lines] == expected
    rows = list(csv.DictReader(io.StringIO(table.decode(), newline="")))
    assert [(row["location"], row["review_id"]) for row in rows] == expected


def many(count: int, rating: Callable[[int], int | None] = lambda _: 5) -> list[Review]:
    written = Written("2026-01-31T09:30:00Z", 0)
    return [Item(rating(at), f"Comment {at}", None, written).review(f"r{at:05}") for at in range(count)]


NEVER = [
    ReviewFilter(rating=frozenset({"1"})),
    ReviewFilter(has_reply=True),
    ReviewFilter(text="nowhere"),
    ReviewFilter(since="2027-01-01"),
]


@pytest.mark.parametrize("wanted", NEVER, ids=lambda wanted: str(wanted.parameters()[0]))
async def test_a_page_that_finds_nothing_ends_and_says_where_to_go_on(
    database: Database, wanted: ReviewFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_pages, "MOST_LOOKED_AT", 500)
    job_id = await finished_with(database, {"locations/1": many(1_700), "locations/2": many(10)})
    pages = await pages_of(Export(database), job_id, 100, wanted)
    assert [len(page.reviews) for page in pages] == [0, 0, 0, 0]


@pytest.mark.parametrize("wanted", NEVER, ids=lambda wanted: str(wanted.parameters()[0]))
async def test_a_read_looks_at_no_more_than_its_bound(
    database: Database, wanted: ReviewFilter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in queries of at most 250 reviews; two each where the database decides."""
    monkeypatch.setattr(review_pages, "MOST_LOOKED_AT", 500)
    job_id = await finished_with(database, {"locations/1": many(2_000)})
    how = await database.write(
        plans, lambda transaction: review_pages.read_reviews(transaction, job_id, 100, None, wanted)
    )
    of_reviews = [plan for plan in how if "reviews" in plan]
    assert len(of_reviews) in (2, 4)
    assert not [plan for plan in of_reviews if "Seq Scan" in plan or "SCAN" in plan]


async def test_a_file_of_a_rare_find_begins_before_anything_is_found(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(review_pages, "MOST_LOOKED_AT", 250)
    job_id = await finished_with(database, {"locations/1": many(1_000, lambda at: 1 if at == 900 else 5)})
    parts = await Export(database).ndjson("default", job_id, ReviewFilter(rating=frozenset({"1"})))
    assert [len(part) > 0 async for part in parts][:4] == [False, False, False, True]


async def test_a_cursor_belongs_to_its_filter(database: Database) -> None:
    job_id = await finished_with(database, {"locations/1": many(10)})
    export, five, good = Export(database), ReviewFilter(rating=frozenset({"5"})), ReviewFilter(text="Comment")
    cursors = {}
    for wanted in (EVERYTHING, five, good):
        page = ReviewList.model_validate_json(await export.page("default", job_id, 4, None, wanted))
        cursors[wanted] = page.next_cursor
    for wanted, cursor in cursors.items():
        assert await export.page("default", job_id, 4, cursor, wanted)
        for other in cursors.keys() - {wanted}:
            with pytest.raises(BadCursorError):
                await export.page("default", job_id, 4, cursor, other)
    another = await finished(database, {"locations/1": ["a"]})
    with pytest.raises(BadCursorError):
        await export.page("default", another, 4, cursors[five], five)
