"""Orders to erase, and what becomes of them."""

import re
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.models.choice import needs

LONGEST_NAME = 1_000


class ErasureKind(StrEnum):
    """What an order names: everything of a tenant, a job, the reviews of a reviewer by display name, or one review."""

    TENANT = "tenant"
    JOB = "job"
    REVIEWER = "reviewer"
    REVIEW = "review"


class ErasureStatus(StrEnum):
    """`running` until nothing is left."""

    RUNNING = "running"
    DONE = "done"


class ReviewKey(NamedTuple):
    """A review by its location's name and its id."""

    location: str
    review_id: str


_REVIEW_NAME = re.compile(r"(?:accounts/[^/]+/)?(locations/[^/]+)/reviews/(.+)")


def review_key(name: str) -> ReviewKey | None:
    """Of `locations/{l}/reviews/{r}`, with or without its account; None for another text."""
    found = _REVIEW_NAME.fullmatch(name)
    return None if found is None else ReviewKey(found[1], found[2])


def _is_text(name: str) -> bool:
    """NUL and lone surrogates are in no column."""
    return not re.search("[\x00\ud800-\udfff]", name)


class ErasureRequest(BaseModel):
    """Whose reviews are to be erased: `reviewer` is a display name exactly as Google has it, `review` a review's name.

    Google gives reviewers no id. `dry_run` only counts.
    """

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,
        json_schema_extra=needs("oneOf", reviewer="string", review="string"),
    )

    reviewer: str | None = Field(
        default=None, min_length=1, max_length=LONGEST_NAME, json_schema_extra={"pattern": r"^[^\u0000]+$"}
    )
    review: str | None = Field(
        default=None,
        max_length=LONGEST_NAME,
        description="`locations/{l}/reviews/{r}`, or with its account before it",
        json_schema_extra={"pattern": r"^(accounts/[^/\u0000]+/)?locations/[^/\u0000]+/reviews/[^\u0000\n]+$"},
    )
    dry_run: bool = False

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.reviewer is None) == (self.review is None):
            raise ValueError("give `reviewer` or `review`, and only one of them")
        if not _is_text(self.subject):
            raise ValueError("the name holds characters that no stored name has")
        if self.review is not None and review_key(self.review) is None:
            raise ValueError("`review` is a name like locations/1/reviews/2, or accounts/3/locations/1/reviews/2")
        return self

    @property
    def kind(self) -> ErasureKind:
        return ErasureKind.REVIEWER if self.reviewer is not None else ErasureKind.REVIEW

    @property
    def subject(self) -> str:
        """The name that was given."""
        return self.reviewer or self.review or ""


class ErasureView(BaseModel):
    """An order as it stands. `subject`: the job or the tenant; a reviewer's name is not repeated.

    `jobs_erased` counts jobs that are gone from sight, `reviews_erased` reviews that are deleted so far.
    """

    id: int
    kind: ErasureKind
    subject: str | None
    status: ErasureStatus
    created_at: datetime
    finished_at: datetime | None
    jobs_erased: int
    reviews_erased: int


class ErasureList(BaseModel):
    """Orders, newest first."""

    items: list[ErasureView]
    next_cursor: str | None = None


class ErasureResult(BaseModel):
    """The order that was given; without one, a dry run: how many reviews in how many jobs it would erase now."""

    erasure: ErasureView | None = None
    jobs: int | None = None
    reviews: int | None = None
