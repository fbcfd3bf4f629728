"""A page of reviews.list, decoded. This is the hot path: `_quick` reads every page Google documents in about 2 µs a
review, `_careful` whatever else is JSON.

Field types from Google's v4 RPC reference ("Review", "ListReviewsResponse"). Unknown fields stay in `raw`.
"""

from hashlib import sha256
from typing import Any

from msgspec import MsgspecError, Raw, Struct
from msgspec.json import Decoder

from app.google.document import (
    is_short_page_token,
    list_in,
    load_object,
    page_token_in,
    raw_items,
    refuse_crowd,
    refuse_swarm,
    text_or_none,
)
from app.google.pages import ReviewsPage
from app.models.review import Review

_RATINGS: dict[str | None, int] = {"ONE": 1, "TWO": 2, "THREE": 3, "FOUR": 4, "FIVE": 5}
_LONGEST_ID = 500  # of characters: PostgreSQL's index takes rows of 2,704 bytes; Google's ids have about 80
_MOST_REVIEWS = 2**31 - 1  # totalReviewCount is an int32


class _Reviewer(Struct, rename="camel", gc=False):
    display_name: str | None = None


class _Reply(Struct, gc=False):
    comment: str | None = None


class _Item(Struct, rename="camel", gc=False):
    name: str | None = None
    review_id: str | None = None
    reviewer: _Reviewer | None = None
    star_rating: str | None = None
    comment: str | None = None
    create_time: str | None = None
    update_time: str | None = None
    review_reply: _Reply | None = None


class _Items(Struct, gc=False):
    reviews: list[_Item] | None = None


class _Page(Struct, rename="camel", gc=False):
    reviews: list[Raw] | None = None
    total_review_count: int | None = None
    average_rating: float | None = None
    next_page_token: str | None = None
    error: Any = None


_decode_page = Decoder(_Page).decode
_decode_items = Decoder(_Items).decode
_new_tuple = tuple.__new__
_rating_of = _RATINGS.get


def decode_reviews(body: bytes, *, first_page: bool) -> ReviewsPage:
    """The reviews in `body`, each with its bytes untouched in `raw`; a `GoogleAPIError` (transient) for a broken one.

    Only on the first page does a missing totalReviewCount mean that there are no reviews: a later page may be empty
    because reviews were deleted while the list was read.
    """
    refuse_swarm(body)
    page = _quick(body) or _careful(body)
    if first_page and page.total is None and not page.reviews and page.next_page_token is None:
        return page._replace(total=0)
    return page


def _quick(body: bytes) -> ReviewsPage | None:
    """The page, or None when it holds anything unusual."""
    try:
        # Two passes in C cost less than a call per review: one for the slices, one for the keys.
        page = _decode_page(body)
        items = _decode_items(body).reviews
        # msgspec skips over what it does not need without a look at its UTF-8, and raw is published as it is.
        body.decode()
    except (MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if page.error is not None:
        return None
    if (b"\\" in body and b"\\u0000" in body) or not is_short_page_token(page.next_page_token):
        return None
    refuse_crowd(len(items or ()))
    if items and max([len(item.review_id or item.name or "") for item in items]) > _LONGEST_ID:
        return None
    reviews = [_review(raw, item) for raw, item in zip(page.reviews or (), items or (), strict=True)]
    token = page.next_page_token or None
    return ReviewsPage(reviews, _count(page.total_review_count), _average(page.average_rating), token)


def _review(raw: Raw, item: _Item) -> Review:
    source = bytes(raw)
    reviewer = item.reviewer
    reply = item.review_reply
    # Twice as fast as Review(…), and this line runs for every review there is.
    return _new_tuple(
        Review,
        (
            item.review_id or _identity(None, item.name, source),
            item.name or "",
            _rating_of(item.star_rating),
            item.comment,
            reviewer.display_name if reviewer else None,
            item.create_time,
            item.update_time,
            reply.comment if reply else None,
            source,
        ),
    )


def _careful(body: bytes) -> ReviewsPage:
    document = load_object(body)
    items = list_in(document, "reviews")
    sources = raw_items(body, "reviews") if items else []
    return ReviewsPage(
        [_careful_review(item, source) for item, source in zip(items, sources, strict=True)],
        _count(document.get("totalReviewCount")),
        _average(document.get("averageRating")),
        page_token_in(document),
    )


def _careful_review(item: object, source: bytes) -> Review:
    fields = _object(item)
    rating = fields.get("starRating")
    return Review(
        review_id=_identity(fields.get("reviewId"), fields.get("name"), source),
        name=text_or_none(fields.get("name")) or "",
        rating=_RATINGS.get(rating) if isinstance(rating, str) else None,
        comment=text_or_none(fields.get("comment")),
        reviewer=text_or_none(_object(fields.get("reviewer")).get("displayName")),
        create_time=text_or_none(fields.get("createTime")),
        update_time=text_or_none(fields.get("updateTime")),
        reply=text_or_none(_object(fields.get("reviewReply")).get("comment")),
        raw=source,
    )


def _identity(review_id: object, name: object, source: bytes) -> str:
    """Google's reviewId, else the last segment of the name, else a digest of the whole object."""
    if isinstance(review_id, str) and review_id:
        return _storable(review_id)
    if isinstance(name, str) and (last := name.rpartition("/")[2]):
        return _storable(last)
    return _digest(source)


def _storable(identity: str) -> str:
    """The text itself, or a digest of it when it is too long, or U+FFFD would make one id of two."""
    if len(identity) <= _LONGEST_ID and text_or_none(identity) == identity:
        return identity
    return _digest(identity.encode("utf-8", "surrogatepass"))


def _digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: object) -> int | None:
    """A count Google may have written as a text; None for what is none."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 11:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= _MOST_REVIEWS else None


def _average(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= 5 else None
