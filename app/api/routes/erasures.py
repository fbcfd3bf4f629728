"""Data protection: erase a job, or the reviews of one reviewer, and see how far an erasure is."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from starlette.responses import Response

from app.api.auth import Administrator
from app.api.body import BODY_PROBLEMS, Body, JsonBody
from app.api.parameters import Cursor, JobId, Limit
from app.api.problems import problem_responses
from app.api.services import Services
from app.models.erasure import ErasureList, ErasureRequest, ErasureResult, ErasureView

router = APIRouter(tags=["data protection"])

_erasure = JsonBody(ErasureRequest)

_COUNTED: dict[int | str, dict[str, Any]] = {
    200: {"model": ErasureResult, "description": "A dry run: what would be erased now."}
}


@router.delete(
    "/api/v1/review-fetch/{job_id}",
    status_code=202,
    response_model=ErasureResult,
    responses=problem_responses([404, 409, 422]),
)
async def erase_job(caller: Administrator, services: Services, job_id: JobId, response: Response) -> ErasureResult:
    """Erase a job that has ended, with all it has fetched. It is gone from sight at once."""
    result = await services.erasures.of_job(caller.tenant, job_id, caller.origin)
    _point_to(response, result)
    return result


@router.post(
    "/api/v1/erasures",
    status_code=202,
    response_model=ErasureResult,
    responses=_COUNTED | problem_responses(BODY_PROBLEMS),
    openapi_extra=_erasure.openapi(),
)
async def erase_reviewer(
    caller: Administrator,
    services: Services,
    body: Annotated[Body[ErasureRequest], Depends(_erasure)],
    response: Response,
) -> ErasureResult:
    """Erase the reviews of one reviewer, or one review, in all of the tenant's jobs."""
    result = await services.erasures.of_reviewer(caller.tenant, body.value, caller.origin)
    if body.value.dry_run:
        response.status_code = 200
    _point_to(response, result)
    return result


@router.get("/api/v1/erasures", responses=problem_responses([422]))
async def list_erasures(
    caller: Administrator, services: Services, limit: Limit = 100, cursor: Cursor = None
) -> ErasureList:
    """The tenant's orders to erase, newest first."""
    return await services.erasures.page(caller.tenant, limit, cursor)


@router.get("/api/v1/erasures/{erasure_id:int}", responses=problem_responses([404, 422]))
async def get_erasure(
    caller: Administrator, services: Services, erasure_id: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> ErasureView:
    """An order to erase as it stands."""
    return await services.erasures.one(caller.tenant, erasure_id)


def _point_to(response: Response, result: ErasureResult) -> None:
    """Where to follow the order."""
    if result.erasure is not None:
        response.headers["Location"] = f"/api/v1/erasures/{result.erasure.id}"
