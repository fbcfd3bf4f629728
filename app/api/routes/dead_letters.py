"""Dead letters: what was given up, and trying it again."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from app.api.auth import Operator, Reader
from app.api.body import BODY_PROBLEMS, Body, JsonBody
from app.api.parameters import Cursor, Limit, Word
from app.api.problems import problem_responses
from app.api.services import Services
from app.models.views import CauseList, DeadLetterHistory, DeadLetterList, RedriveRequest, RedriveResult, filter_of

router = APIRouter(prefix="/api/v1/dlq", tags=["dead letters"])

_redrive = JsonBody(RedriveRequest)


@router.get("", responses=problem_responses([422]))
async def list_dead_letters(
    caller: Reader,
    services: Services,
    *,
    cause: Word = None,
    job_id: Word = None,
    stage: Word = None,
    parked: bool | None = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> DeadLetterList:
    """The tenant's dead letters, newest first. Those that were tried again since are left out."""
    which = filter_of(cause=cause, job_id=job_id, stage=stage)
    return await services.dead_letters.page(caller.tenant, which, limit, cursor, parked=parked)


@router.get("/causes", responses=problem_responses([422]))
async def list_causes(caller: Reader, services: Services, job_id: Word = None) -> CauseList:
    """The tenant's dead letters, or those of a job, by cause."""
    return await services.dead_letters.causes(caller.tenant, job_id)


@router.get("/{letter_id:int}", responses=problem_responses([404, 422]))
async def get_dead_letter(
    caller: Reader, services: Services, letter_id: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> DeadLetterHistory:
    """One dead letter, and how the same work was given up before."""
    return await services.dead_letters.one(caller.tenant, letter_id)


@router.post("/redrive", responses=problem_responses(BODY_PROBLEMS), openapi_extra=_redrive.openapi())
async def redrive_dead_letters(
    caller: Operator, services: Services, body: Annotated[Body[RedriveRequest], Depends(_redrive)]
) -> RedriveResult:
    """Try dead letters again: their jobs go on where they stopped."""
    return await services.dead_letters.redrive(caller.tenant, body.value, caller.origin)
