"""The parameters of listings that can be filtered. An unknown one is refused: it would be one without effect."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from app.models.audit_views import AuditFilter
from app.models.locations import LocationFilter
from app.models.review_filter import ReviewFilter

PageLimit = Annotated[int, Field(ge=1, le=1000, description="Items on a page.")]
PageCursor = Annotated[str, Field(max_length=1024)]


class LocationQuery(LocationFilter):
    """Which locations of a job, and which page of them."""

    limit: PageLimit = 100
    cursor: PageCursor | None = None
    """`next_cursor` of the page before, with the same filter."""


class AuditQuery(AuditFilter):
    """Which entries of the audit log, and which page of them."""

    limit: PageLimit = 100
    after: PageCursor | None = None
    """`next_cursor` of the page before, with the same filter."""


class ReviewFormat(StrEnum):
    """Pages of JSON; or everything at once: one object a line, a table without `raw`, or columns with it."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


class ReviewQuery(ReviewFilter):
    """Which reviews of a job, in which form, and which page of them."""

    format: ReviewFormat = ReviewFormat.JSON
    """`json` gives pages; `ndjson`, `csv` and `parquet` give everything as a file."""
    limit: PageLimit = 100
    cursor: PageCursor | None = None
    """`next_cursor` of the page before, with the same filter."""

    @model_validator(mode="after")
    def _pages_only_json(self) -> Self:
        given = sorted({"limit", "cursor"} & self.model_fields_set)
        if self.format is not ReviewFormat.JSON and given:
            raise ValueError(f"format={self.format} gives everything: leave out {' and '.join(given)}")
        return self
