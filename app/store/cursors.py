"""Cursors of listings: where a page ended, as text that a client passes back.

A cursor is URL-safe, opaque and bound to its listing. It grants nothing (every query names the tenant as well), so it
is not signed; what a client made up is refused by its types and ranges before it comes near a query.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, TypeVar

import msgspec

from app.models.errors import BadCursorError
from app.store.texts import is_storable

T = TypeVar("T", bound="Cursor")
J = TypeVar("J", bound="JobCursor")

MAX_LENGTH = 8192
"""Google's ids are far shorter; longer text is nobody's cursor."""

Position = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number of a row, or of a transaction: 64 bits in both databases."""


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A position within one listing; a subclass's tag says which."""


class JobsCursor(Cursor, frozen=True, array_like=True, tag="j"):
    """Behind this job of a tenant's."""

    created_at: float
    job_id: str


class JobCursor(Cursor, frozen=True, array_like=True):
    """A position within one job."""

    job_id: str


class LocationsCursor(JobCursor, frozen=True, array_like=True, tag="l"):
    """Behind this location of the job."""

    location: str


class AccountsCursor(JobCursor, frozen=True, array_like=True, tag="a"):
    """Behind this account of the job."""

    account: str


class ReviewsCursor(JobCursor, frozen=True, array_like=True, tag="r"):
    """Behind this review of this location of the job."""

    location: str
    review_id: str


class FilteredReviewsCursor(JobCursor, frozen=True, array_like=True, tag="s"):
    """Behind this review of this location of the job; without a review, behind all of the location. `wanted`: the
    digest of the filter."""

    wanted: str
    location: str
    review_id: str | None


class DeadLettersCursor(Cursor, frozen=True, array_like=True, tag="d"):
    """Behind this dead letter."""

    before: Position


class ErasuresCursor(Cursor, frozen=True, array_like=True, tag="e"):
    """Behind this order to erase."""

    before: Position


class KeysCursor(Cursor, frozen=True, array_like=True, tag="k"):
    """Behind this API key."""

    created_at: float
    key_id: str


class FeedCursor(Cursor, frozen=True, array_like=True, tag="f"):
    """Behind the row `after`; the others are those of `finality.Final`."""

    after: Position = 0
    settled: Position = 0
    drawn: Position = 0
    horizon: Position = 0


class AuditCursor(Cursor, frozen=True, array_like=True, tag="u"):
    """Behind the entry `after` of what this tenant sees of the audit log, None: of all of it; the others as above."""

    tenant: str | None
    after: Position = 0
    settled: Position = 0
    drawn: Position = 0
    horizon: Position = 0


def encode(cursor: Cursor) -> str:
    return urlsafe_b64encode(msgspec.json.encode(cursor)).rstrip(b"=").decode()


def decode(text: str, kind: type[T]) -> T:
    """The cursor, if it is one of this kind. Raises BadCursorError for anything else."""
    if not text.isascii() or len(text) > MAX_LENGTH:
        raise BadCursorError
    try:
        packed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        cursor = msgspec.json.decode(packed, type=kind)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise BadCursorError from error
    if encode(cursor) != text or not _is_storable(cursor):
        raise BadCursorError
    return cursor


def decode_of_job(text: str, kind: type[J], job_id: str) -> J:
    """The cursor, if it is one of this kind and this job. Raises BadCursorError for anything else."""
    cursor = decode(text, kind)
    if cursor.job_id != job_id:
        raise BadCursorError
    return cursor


def _is_storable(cursor: Cursor) -> bool:
    return all(is_storable(value) for value in msgspec.structs.astuple(cursor) if isinstance(value, str))
