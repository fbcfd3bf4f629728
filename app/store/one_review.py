"""One review, by its location and id."""

from sqlalchemy import select

from app.store.database import Transaction
from app.store.review_pages import REVIEW_COLUMNS, ReviewRow
from app.store.schema import locations, reviews
from app.store.texts import is_storable


def find_review(transaction: Transaction, job_id: str, location: str, review_id: str) -> ReviewRow | None:
    """The review that the job kept under this id. Whether the tenant has the job is the caller's to check."""
    if not (is_storable(location) and is_storable(review_id)):
        return None
    statement = (
        select(locations.c.account, *REVIEW_COLUMNS)
        .select_from(locations.join(reviews, reviews.c.location_no == locations.c.no))
        .where(locations.c.job_id == job_id, locations.c.location == location, reviews.c.review_id == review_id)
    )
    row = transaction.connection.execute(statement).one_or_none()
    return None if row is None else ReviewRow._make((job_id, row[0], location, *row[1:]))
