"""Reviews: of one job as pages or files, and of all jobs as a feed."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from app.api.auth import Reader
from app.api.parameters import Cursor, JobId, Limit
from app.api.problems import problem_responses
from app.api.queries import ReviewFormat, ReviewQuery
from app.api.services import Services
from app.api.stream import FileStream
from app.models.views import FeedPage, ReviewList

router = APIRouter(prefix="/api/v1", tags=["reviews"])


_FILES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/x-ndjson": {"schema": {"type": "string", "description": "One review a line."}},
            "text/csv": {"schema": {"type": "string", "description": "One review a row, after a row of names."}},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
        }
    }
}


@router.get(
    "/review-fetch/{job_id}/reviews",
    response_model=ReviewList,
    responses=_FILES | problem_responses([404, 422, 501]),
)
async def list_reviews(
    caller: Reader, services: Services, job_id: JobId, query: Annotated[ReviewQuery, Query()]
) -> Response:
    """The reviews of a job: a page of JSON, or all of them as a file."""
    export, tenant, by = services.export, caller.tenant, caller.origin
    match query.format:
        case ReviewFormat.JSON:
            return _json(await export.page(tenant, job_id, query.limit, query.cursor, query))
        case ReviewFormat.NDJSON:
            parts, media_type = await export.ndjson(tenant, job_id, query, by), "application/x-ndjson"
        case ReviewFormat.CSV:
            parts, media_type = await export.csv(tenant, job_id, query, by), "text/csv; charset=utf-8"
        case ReviewFormat.PARQUET:
            parts, media_type = await export.parquet(tenant, job_id, query, by), "application/vnd.apache.parquet"
    return await FileStream.of(parts, media_type, file_name=f"reviews-{job_id}.{query.format}")


@router.get("/reviews/feed", response_model=FeedPage, responses=problem_responses([422]))
async def read_feed(caller: Reader, services: Services, after: Cursor = None, limit: Limit = 100) -> Response:
    """Reviews of all the tenant's jobs in the order in which they were stored. Ask again with `next_cursor`."""
    return _json(await services.export.feed(caller.tenant, after, limit))


def _json(page: bytes) -> Response:
    """Google's objects pass through as they are."""
    return Response(page, media_type="application/json")
