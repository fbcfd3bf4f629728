"""Cursors of a job's reviews: each belongs to its job and to its filter."""

from app.models.errors import BadCursorError
from app.models.review_filter import ReviewFilter
from app.store.cursors import FilteredReviewsCursor, ReviewsCursor, decode_of_job, encode
from app.store.review_pages import Position


def cursor_at(position: Position, job_id: str, wanted: ReviewFilter) -> str:
    """The cursor of the page behind this position."""
    if position.review_id is not None and wanted.is_everything:
        return encode(ReviewsCursor(job_id, position.location, position.review_id))
    return encode(FilteredReviewsCursor(job_id, wanted.digest(), position.location, position.review_id))


def position_of(cursor: str | None, job_id: str, wanted: ReviewFilter) -> Position | None:
    """Where a page begins; None: at the first review. Raises BadCursorError for a cursor of something else."""
    if cursor is None:
        return None
    if wanted.is_everything:
        plain = decode_of_job(cursor, ReviewsCursor, job_id)
        return Position(plain.location, plain.review_id)
    filtered = decode_of_job(cursor, FilteredReviewsCursor, job_id)
    if filtered.wanted != wanted.digest():
        raise BadCursorError
    return Position(filtered.location, filtered.review_id)
