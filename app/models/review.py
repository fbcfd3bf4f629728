"""What Google lists, as the values that walk through the pipeline."""

from typing import NamedTuple


class Review(NamedTuple):
    """One review of a page, ready for its row.

    `raw` is Google's object byte for byte. The other fields are read from it: text with NUL and lone surrogates
    replaced by U+FFFD, `rating` 1 to 5 or None when Google gave none (or an unknown word), times as Google wrote them
    (RFC 3339) or None. A tuple because a page becomes one SQL statement: its order is the order of the columns
    """

    review_id: str
    name: str
    rating: int | None
    comment: str | None
    reviewer: str | None
    create_time: str | None
    update_time: str | None
    reply: str | None
    raw: bytes


class Account(NamedTuple):
    """One item of accounts.list. `name` is `accounts/{id}`; `title` Google's accountName ("" when it gave none)."""

    name: str
    title: str


class Location(NamedTuple):
    """One item of locations.list. `name` is `locations/{id}` (no account); `verified` is metadata.hasVoiceOfMerchant.

    proto3 JSON leaves false out, so a missing flag means not verified; a location whose metadata is missing as a
    whole says nothing about it: None.
    """

    name: str
    title: str
    store_code: str | None
    place_id: str | None
    verified: bool | None
