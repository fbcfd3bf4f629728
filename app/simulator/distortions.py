"""Reviews that are strange: what a client must survive without losing the page."""

from collections.abc import Callable
from typing import Any

from app.simulator.faults import Distort

Review = dict[str, Any]


def distort(reviews: list[Review], fault: Distort) -> None:
    """Changes the first `fault.count` reviews in place, or all."""
    change = _CHANGES[fault.what]
    for review in reviews[: fault.count]:
        change(review, fault)


def _oversized(review: Review, fault: Distort) -> None:
    review["comment"] = ("very long " * (fault.size // 10 + 1))[: fault.size]


def _unknown_fields(review: Review, _: Distort) -> None:
    review["simulatedNewField"] = {"nested": [1, None, {"deeper": True}]}
    review["reviewer"]["simulatedBadge"] = "LOCAL_GUIDE"


def _missing_rating(review: Review, _: Distort) -> None:
    del review["starRating"]


def _unknown_rating(review: Review, _: Distort) -> None:
    review["starRating"] = "SIX"


def _wrong_types(review: Review, _: Distort) -> None:
    review.update(starRating=5, comment=["not", "a", "string"], reviewer="nobody", updateTime=1_790_000_000)
    review["reviewReply"] = None


def _bad_text(review: Review, _: Distort) -> None:
    review["comment"] = "NUL \0 and a lone surrogate \ud83d in one comment"
    review["reviewer"]["displayName"] = "Testa \ude00 \0"


_CHANGES: dict[str, Callable[[Review, Distort], None]] = {
    "oversized": _oversized,
    "unknown_fields": _unknown_fields,
    "missing_rating": _missing_rating,
    "unknown_rating": _unknown_rating,
    "wrong_types": _wrong_types,
    "bad_text": _bad_text,
}
