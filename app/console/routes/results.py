"""The reviews of a job: to look through, and to take away."""

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.api.parameters import Cursor, JobId
from app.api.services import Services
from app.api.stream import FileStream
from app.console.access import Reader
from app.console.formats import readable_json
from app.console.forms import Chosen, Filled
from app.console.rendering import page
from app.models.review_filter import EVERYTHING, ReviewFilter

router = APIRouter()

REVIEWS_A_PAGE = 25
"""Each with as much of its text as a list shows; a page of larger ones ends sooner."""

_chosen = Chosen(ReviewFilter)
Choice = Annotated[Filled[ReviewFilter], Depends(_chosen)]


@router.get("/jobs/{job_id}/reviews")
async def list_reviews(
    visitor: Reader, request: Request, services: Services, job_id: JobId, *, choice: Choice, cursor: Cursor = None
) -> Response:
    """The reviews to which the filter applies, page by page."""
    job = await services.progress.job(visitor.tenant, job_id)
    wanted = choice.value or EVERYTHING
    found = await services.export.rows(visitor.tenant, job_id, REVIEWS_A_PAGE, cursor, wanted)
    return page(
        request,
        "reviews.html",
        status_code=422 if choice.problems else 200,
        job=job,
        job_id=job_id,
        found=found,
        wanted=wanted,
        problems=choice.problems,
        begun=cursor is not None,
    )


@router.get("/jobs/{job_id}/review")
async def show_review(
    visitor: Reader, request: Request, services: Services, job_id: JobId, *, location: str, review_id: str
) -> Response:
    """A review as a whole, and as Google sent it."""
    review = await services.export.review(visitor.tenant, job_id, location, review_id)
    if review is None:
        raise HTTPException(404)
    return page(request, "review.html", job_id=job_id, review=review, raw=_readable(review.raw))


@router.get("/jobs/{job_id}/reviews/ndjson")
async def download_ndjson(visitor: Reader, services: Services, job_id: JobId, choice: Choice) -> Response:
    """All of them, one JSON object a line."""
    parts = await services.export.ndjson(visitor.tenant, job_id, choice.required, visitor.origin)
    return await FileStream.of(parts, "application/x-ndjson", file_name=f"reviews-{job_id}.ndjson")


@router.get("/jobs/{job_id}/reviews/csv")
async def download_csv(visitor: Reader, services: Services, job_id: JobId, choice: Choice) -> Response:
    """All of them as a table."""
    parts = await services.export.csv(visitor.tenant, job_id, choice.required, visitor.origin)
    return await FileStream.of(parts, "text/csv; charset=utf-8", file_name=f"reviews-{job_id}.csv")


@router.get("/jobs/{job_id}/reviews/parquet")
async def download_parquet(visitor: Reader, services: Services, job_id: JobId, choice: Choice) -> Response:
    """All of them in columns."""
    parts = await services.export.parquet(visitor.tenant, job_id, choice.required, visitor.origin)
    return await FileStream.of(parts, "application/vnd.apache.parquet", file_name=f"reviews-{job_id}.parquet")


def _readable(raw: bytes) -> str:
    """Over several lines, unless it is nested too deep for that."""
    text = raw.decode("utf-8", "replace")
    try:
        return readable_json(json.loads(text))
    except (ValueError, RecursionError):
        return text
