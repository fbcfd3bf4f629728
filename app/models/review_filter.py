"""Which of a job's reviews: one filter for pages and files, for API, console and command line."""

import json
import re
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Literal
from unicodedata import normalize

from pydantic import AfterValidator, ConfigDict, Field

from app.models.instants import begin_of, instant_of
from app.models.views import View

Stars = Literal["1", "2", "3", "4", "5", "none"]

_LOCATION = re.compile(r"locations/[^/\s\x00-\x1f\x7f\ud800-\udfff]{1,500}")


def _possible_location(text: str) -> str:
    if not _LOCATION.fullmatch(text):
        raise ValueError("a location is named locations/{id}")
    return text


def possible_moment(text: str) -> str:
    """Raises ValueError unless it is a date or a time."""
    if begin_of(text) is None:
        raise ValueError(
            "a date or a time of RFC 3339, e.g. 2026-01-31 or 2026-01-31T09:30:00Z (in a URL, + is written %2B)"
        )
    return text


LocationName = Annotated[
    str,
    AfterValidator(_possible_location),
    Field(json_schema_extra={"pattern": r"^locations/[^/\s\u0000-\u001f\u007f]{1,500}$"}),
]
Moment = Annotated[
    str,
    AfterValidator(possible_moment),
    Field(json_schema_extra={"anyOf": [{"format": "date"}, {"format": "date-time"}]}),
]


def _may_repeat(schema: dict[str, Any]) -> None:
    """Twice the same in a query does no harm: a set would be documented as without."""
    schema.pop("uniqueItems", None)


class ReviewFilter(View):
    """Which reviews: those to which everything that is set applies. Nothing set: all of them."""

    model_config = ConfigDict(extra="forbid")

    location: LocationName | None = None
    """Reviews of this location, `locations/{id}`."""
    rating: Annotated[frozenset[Stars], Field(json_schema_extra=_may_repeat)] = frozenset()
    """With so many stars, or `none`: without a rating. Give it several times for one of several."""
    since: Moment | None = None
    """Written or changed at this time or after it: RFC 3339, or a date, which begins in UTC."""
    has_reply: bool | None = None
    """Whether the owner has replied with a text."""
    text: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """In the comment or the reply. Capital and small letters are the same, in every alphabet."""

    def parameters(self) -> list[tuple[str, str]]:
        """The filter as the parameters of a URL, always in the same order."""
        single = (("location", self.location), ("since", self.since), ("text", self.text))
        told = [(name, value) for name, value in single if value is not None]
        told += [("rating", stars) for stars in sorted(self.rating)]
        return told + ([] if self.has_reply is None else [("has_reply", str(self.has_reply).lower())])

    @property
    def is_everything(self) -> bool:
        """Whether nothing is set."""
        return not self.parameters()

    def digest(self) -> str:
        """Equal filters have the same, others another one."""
        return sha256(json.dumps(self.parameters()).encode()).hexdigest()[:20]

    @property
    def reads_text(self) -> bool:
        """Whether a review has to be read to decide: databases compare letters and times each in their own way."""
        return self.text is not None or self.since is not None

    def fits(self, comment: str | None, update_time: str | None, reply: str | None) -> bool:
        """Whether `since` and `text` apply. A review whose time cannot be read is not `since` anything."""
        if self._begin is not None:
            instant = None if update_time is None else instant_of(update_time)
            if instant is None or instant < self._begin:
                return False
        needle = self._needle
        return needle is None or any(text is not None and needle in folded(text) for text in (comment, reply))

    @cached_property
    def _begin(self) -> int | None:
        return None if self.since is None else begin_of(self.since)

    @cached_property
    def _needle(self) -> str | None:
        return None if self.text is None else folded(self.text)


EVERYTHING = ReviewFilter()


def folded(text: str) -> str:
    """The text with its letters made alike (Unicode, NFKC and case folding): STRASSE and Straße, composed é and é."""
    if text.isascii():
        return text.lower()
    return normalize("NFKC", normalize("NFKC", text).casefold())
