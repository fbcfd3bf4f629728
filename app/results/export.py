"""A job's reviews as JSON pages and files, and the feed of all jobs: read page by page, nothing kept open."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import NamedTuple

from app.models.audit import SYSTEM, Action, AuditEntry, Origin
from app.models.review_filter import EVERYTHING, ReviewFilter
from app.results import lines
from app.results.parquet import new_parquet_file
from app.results.review_cursors import cursor_at, position_of
from app.store.audit import note
from app.store.cursors import FeedCursor, decode, encode
from app.store.database import Database, Transaction
from app.store.feed import read_feed
from app.store.one_review import find_review
from app.store.reads import require_job
from app.store.review_pages import Position, ReviewPage, ReviewRow, read_reviews

ROWS_A_READ = 1000
"""A read transaction of some ten milliseconds, after which the database is free to tidy up behind it."""


class FoundReviews(NamedTuple):
    """A page of reviews, and the cursor of the next; None: there is none."""

    reviews: Sequence[ReviewRow]
    next_cursor: str | None


class Export:
    """Bytes, ready to be sent: Google's own objects pass through without being taken apart.

    Who takes a whole file (`by`) is written down before the first byte; pages and the feed are not.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, tenant: str, job_id: str, limit: int, cursor: str | None, wanted: ReviewFilter = EVERYTHING
    ) -> bytes:
        """A `ReviewList` as JSON, of at most `limit` reviews. Raises JobNotFoundError, BadCursorError.

        With a filter it may have fewer, or none, although there are more: `next_cursor` tells.
        """
        found = await self.rows(tenant, job_id, limit, cursor, wanted)
        return lines.json_page(found.reviews, next_cursor=found.next_cursor)

    async def rows(
        self, tenant: str, job_id: str, limit: int, cursor: str | None, wanted: ReviewFilter = EVERYTHING
    ) -> FoundReviews:
        """The same page for who shows it in another form than JSON."""
        await self._database.read(require_job, tenant, job_id)
        after = position_of(cursor, job_id, wanted)
        page = await self._database.read(_read_whole, tenant, job_id, limit, after, wanted=wanted)
        return FoundReviews(page.reviews, page.last and cursor_at(page.last, job_id, wanted))

    async def review(self, tenant: str, job_id: str, location: str, review_id: str) -> ReviewRow | None:
        """One review; None when the job has none of this name. Raises JobNotFoundError."""
        await self._database.read(require_job, tenant, job_id)
        return await self._database.read(find_review, job_id, location, review_id)

    async def ndjson(
        self, tenant: str, job_id: str, wanted: ReviewFilter = EVERYTHING, by: Origin = SYSTEM
    ) -> AsyncIterator[bytes]:
        """The job's reviews, one JSON object a line. Raises JobNotFoundError before the first chunk."""
        await self._database.write(_take, _taken(tenant, job_id, "ndjson", wanted, by))
        return self._chunks(tenant, job_id, wanted, b"", lines.ndjson)

    async def csv(
        self, tenant: str, job_id: str, wanted: ReviewFilter = EVERYTHING, by: Origin = SYSTEM
    ) -> AsyncIterator[bytes]:
        """The job's reviews as CSV (RFC 4180) under a header. Raises JobNotFoundError before the first chunk."""
        await self._database.write(_take, _taken(tenant, job_id, "csv", wanted, by))
        return self._chunks(tenant, job_id, wanted, lines.csv_header(), lines.csv)

    async def parquet(
        self, tenant: str, job_id: str, wanted: ReviewFilter = EVERYTHING, by: Origin = SYSTEM
    ) -> AsyncIterator[bytes]:
        """The job's reviews as one Parquet file. Raises JobNotFoundError and ParquetMissingError before the first."""
        await self._database.read(require_job, tenant, job_id)
        file = await new_parquet_file()
        await self._database.write(_take, _taken(tenant, job_id, "parquet", wanted, by))
        return file.parts(self._pages(tenant, job_id, wanted))

    async def feed(self, tenant: str, after: str | None, limit: int) -> bytes:
        """A `FeedPage` as JSON, of at most `limit` reviews of all the tenant's jobs. Raises BadCursorError."""
        position = FeedCursor() if after is None else decode(after, FeedCursor)
        page = await self._database.read(read_feed, tenant, position, limit)
        return lines.json_page(page.reviews, next_cursor=encode(page.last), more=page.more)

    async def _chunks(
        self,
        tenant: str,
        job_id: str,
        wanted: ReviewFilter,
        head: bytes,
        render: Callable[[Sequence[ReviewRow]], bytes],
    ) -> AsyncIterator[bytes]:
        """One chunk a read, an empty one where nothing was found: the answer begins, however rare what is sought."""
        if head:
            yield head
        async with aclosing(self._pages(tenant, job_id, wanted)) as pages:
            async for rows in pages:
                yield render(rows)

    async def _pages(self, tenant: str, job_id: str, wanted: ReviewFilter) -> AsyncGenerator[Sequence[ReviewRow], None]:
        """The rows of the next read are asked for when the reader has taken these. A file is cut off when its job is
        erased meanwhile."""
        after: Position | None = None
        while True:
            page = await self._database.read(_read_whole, tenant, job_id, ROWS_A_READ, after, wanted=wanted)
            yield page.reviews
            if page.last is None:
                return
            after = page.last


def _read_whole(
    transaction: Transaction, tenant: str, job_id: str, limit: int, after: Position | None, *, wanted: ReviewFilter
) -> ReviewPage:
    """`read_reviews` of a job that is there. Raises JobNotFoundError.

    Looked up after the read: a job is hidden before the first of its rows goes, so none was missing.
    """
    page = read_reviews(transaction, job_id, limit, after, wanted)
    require_job(transaction, tenant, job_id)
    return page


def _taken(tenant: str, job_id: str, form: str, wanted: ReviewFilter, by: Origin) -> AuditEntry:
    detail: dict[str, object] = {"format": form, "filtered": not wanted.is_everything}
    return AuditEntry(tenant, Action.REVIEWS_EXPORT, job_id, by, detail)


def _take(transaction: Transaction, entry: AuditEntry) -> None:
    """Raises JobNotFoundError."""
    require_job(transaction, entry.tenant, entry.subject)
    note(transaction, entry)
