"""Jobs: submit, list, look at, control."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header
from starlette.responses import Response

from app.api.auth import Operator, Reader, Submitter
from app.api.body import Body, JsonBody
from app.api.parameters import Cursor, JobId, Limit
from app.api.problems import problem_responses
from app.api.schemas import ReviewFetchRequest, ReviewFetchResponse, TokenReplacement
from app.api.services import Services
from app.models.job import JobStatus
from app.models.views import JobList, JobView, LocationList

router = APIRouter(prefix="/api/v1/review-fetch", tags=["jobs"])

_submission = JsonBody(ReviewFetchRequest)
_replacement = JsonBody(TokenReplacement)

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Sent again within 24 hours with the same body, it gives the same job.",
    ),
]


@router.post(
    "",
    status_code=202,
    response_model=ReviewFetchResponse,
    responses=problem_responses([413, 415, 422, 429]),
    openapi_extra=_submission.openapi(),
)
async def submit_review_fetch(
    caller: Submitter,
    services: Services,
    body: Annotated[Body[ReviewFetchRequest], Depends(_submission)],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Submit a job. 202 means that it is durable; follow it at the address in Location."""
    accepted = await services.api_service.create_fetch_job(
        body.value, caller.tenant, idempotency_key=idempotency_key, body=body.raw
    )
    return _accepted(accepted)


def _accepted(answer: ReviewFetchResponse) -> Response:
    """Made by hand: at thousands a second the framework's own serialisation would be the largest part of it."""
    headers = {"Location": f"/api/v1/review-fetch/{answer.job_id}"}
    return Response(answer.model_dump_json(), 202, headers, "application/json")


@router.get("", responses=problem_responses([422]))
async def list_jobs(
    caller: Reader, services: Services, limit: Limit = 50, cursor: Cursor = None, status: JobStatus | None = None
) -> JobList:
    """The tenant's jobs, newest first."""
    return await services.progress.jobs(caller.tenant, status, limit, cursor)


@router.get("/{job_id}", responses=problem_responses([404, 422]))
async def get_job(caller: Reader, services: Services, job_id: JobId) -> JobView:
    """A job as it stands."""
    return await services.progress.job(caller.tenant, job_id)


@router.get("/{job_id}/locations", responses=problem_responses([404, 422]))
async def list_locations(
    caller: Reader, services: Services, job_id: JobId, limit: Limit = 100, cursor: Cursor = None
) -> LocationList:
    """The locations of a job: what Google says of each, and what was fetched."""
    return await services.progress.locations(caller.tenant, job_id, limit, cursor)


@router.post("/{job_id}/cancel", responses=problem_responses([404, 409, 422]))
async def cancel_job(caller: Operator, services: Services, job_id: JobId) -> JobView:
    """End a job. What it has fetched stays."""
    return await services.job_control.cancel(caller.tenant, job_id)


@router.post("/{job_id}/pause", responses=problem_responses([404, 409, 422]))
async def pause_job(caller: Operator, services: Services, job_id: JobId) -> JobView:
    """Stop a job until it is resumed. Pages under way are still kept."""
    return await services.job_control.pause(caller.tenant, job_id)


@router.post("/{job_id}/resume", responses=problem_responses([404, 409, 422]))
async def resume_job(caller: Operator, services: Services, job_id: JobId) -> JobView:
    """Let a paused job go on at the page where it stopped."""
    return await services.job_control.resume(caller.tenant, job_id)


@router.put(
    "/{job_id}/token",
    responses=problem_responses([404, 409, 413, 415, 422]),
    openapi_extra=_replacement.openapi(),
)
async def replace_token(
    caller: Operator, services: Services, job_id: JobId, body: Annotated[Body[TokenReplacement], Depends(_replacement)]
) -> JobView:
    """Give a job a new access token; one that waits for it goes on at the page where it stopped."""
    return await services.api_service.replace_token(body.value, caller.tenant, job_id)
