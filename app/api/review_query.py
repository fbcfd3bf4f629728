"""The parameters of a job's reviews: which ones, in which form, and which page."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from app.models.review_filter import ReviewFilter


class ReviewFormat(StrEnum):
    """Pages of JSON; or everything at once: one object a line, a table without `raw`, or columns with it."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    PARQUET = "parquet"


class ReviewQuery(ReviewFilter):
    """A filter, and how to hand out what it lets through. An unknown parameter is refused: it would be one without
    effect."""

    format: ReviewFormat = ReviewFormat.JSON
    """`json` gives pages; `ndjson`, `csv` and `parquet` give everything as a file."""
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Reviews on a page."""
    cursor: Annotated[str, Field(max_length=1024)] | None = None
    """`next_cursor` of the page before, with the same filter."""

    @model_validator(mode="after")
    def _pages_only_json(self) -> Self:
        given = sorted({"limit", "cursor"} & self.model_fields_set)
        if self.format is not ReviewFormat.JSON and given:
            raise ValueError(f"format={self.format} gives everything: leave out {' and '.join(given)}")
        return self
