"""A job's reviews as JSON pages, NDJSON and CSV, and the feed of all jobs: read page by page, nothing kept open."""

from collections.abc import AsyncIterator, Callable, Sequence

from app.results import lines
from app.store.cursors import FeedCursor, ReviewsCursor, decode, decode_of_job, encode
from app.store.database import Database
from app.store.feed import read_feed
from app.store.reads import require_job
from app.store.review_pages import ReviewRow, read_reviews

ROWS_A_READ = 1000
"""A read transaction of some ten milliseconds, after which the database is free to tidy up behind it."""


class Export:
    """Bytes, ready to be sent: Google's own objects pass through without being taken apart."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, tenant: str, job_id: str, limit: int, cursor: str | None) -> bytes:
        """A `ReviewList` as JSON, of at most `limit` reviews. Raises JobNotFoundError, BadCursorError."""
        await self._database.read(require_job, tenant, job_id)
        after = None if cursor is None else decode_of_job(cursor, ReviewsCursor, job_id)
        page = await self._database.read(read_reviews, job_id, limit, after)
        return lines.json_page(page.reviews, next_cursor=page.last and encode(page.last))

    async def ndjson(self, tenant: str, job_id: str) -> AsyncIterator[bytes]:
        """All reviews that the job has, one JSON object a line. Raises JobNotFoundError before the first chunk."""
        await self._database.read(require_job, tenant, job_id)
        return self._chunks(job_id, b"", lines.ndjson)

    async def csv(self, tenant: str, job_id: str) -> AsyncIterator[bytes]:
        """All reviews that the job has as CSV (RFC 4180) under a header. Raises JobNotFoundError before the first."""
        await self._database.read(require_job, tenant, job_id)
        return self._chunks(job_id, lines.csv_header(), lines.csv)

    async def feed(self, tenant: str, after: str | None, limit: int) -> bytes:
        """A `FeedPage` as JSON, of at most `limit` reviews of all the tenant's jobs. Raises BadCursorError."""
        position = FeedCursor() if after is None else decode(after, FeedCursor)
        page = await self._database.read(read_feed, tenant, position, limit)
        return lines.json_page(page.reviews, next_cursor=encode(page.last), more=page.more)

    async def _chunks(
        self, job_id: str, head: bytes, render: Callable[[Sequence[ReviewRow]], bytes]
    ) -> AsyncIterator[bytes]:
        """One chunk a read; the rows of the next are asked for when the reader has taken this one."""
        if head:
            yield head
        after: ReviewsCursor | None = None
        while True:
            page = await self._database.read(read_reviews, job_id, ROWS_A_READ, after)
            if page.reviews:
                yield render(page.reviews)
            if page.last is None:
                return
            after = page.last
