"""Reviews: of one job as pages or files, and of all jobs as a feed."""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.api.auth import Reader
from app.api.parameters import Cursor, JobId, Limit
from app.api.problems import problem_responses
from app.api.services import Services
from app.api.stream import FileStream
from app.models.views import FeedPage, ReviewList

router = APIRouter(prefix="/api/v1", tags=["reviews"])


class ReviewFormat(StrEnum):
    """Pages of JSON; or all reviews at once, one object a line, or as a table without `raw`."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


Format = Annotated[ReviewFormat, Query(alias="format", description="json gives pages, ndjson and csv everything.")]

_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/x-ndjson": {"schema": {"type": "string", "description": "One review a line."}},
            "text/csv": {"schema": {"type": "string", "description": "One review a row, after a row of names."}},
        }
    }
}


@router.get(
    "/review-fetch/{job_id}/reviews", response_model=ReviewList, responses=_FILES | problem_responses([404, 422])
)
async def list_reviews(
    caller: Reader,
    services: Services,
    job_id: JobId,
    *,
    wanted: Format = ReviewFormat.JSON,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """The reviews of a job."""
    if wanted is ReviewFormat.NDJSON:
        return await FileStream.of(await services.export.ndjson(caller.tenant, job_id), "application/x-ndjson")
    if wanted is ReviewFormat.CSV:
        return await FileStream.of(await services.export.csv(caller.tenant, job_id), "text/csv; charset=utf-8")
    return _json(await services.export.page(caller.tenant, job_id, limit, cursor))


@router.get("/reviews/feed", response_model=FeedPage, responses=problem_responses([422]))
async def read_feed(caller: Reader, services: Services, after: Cursor = None, limit: Limit = 100) -> Response:
    """Reviews of all the tenant's jobs in the order in which they were stored. Ask again with `next_cursor`."""
    return _json(await services.export.feed(caller.tenant, after, limit))


def _json(page: bytes) -> Response:
    """Google's objects pass through as they are."""
    return Response(page, media_type="application/json")
