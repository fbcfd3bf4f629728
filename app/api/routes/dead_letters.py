"""Dead letters: what was given up, and trying it again."""

from typing import Annotated

from fastapi import APIRouter, Depends

from app.api.auth import Operator, Reader
from app.api.body import BODY_PROBLEMS, Body, JsonBody
from app.api.parameters import Cursor, Limit, Word
from app.api.problems import problem_responses
from app.api.services import Services
from app.models.views import DeadLetterList, RedriveRequest, RedriveResult

router = APIRouter(prefix="/api/v1/dlq", tags=["dead letters"])

_redrive = JsonBody(RedriveRequest)


@router.get("", responses=problem_responses([422]))
async def list_dead_letters(
    caller: Reader,
    services: Services,
    *,
    cause: Word = None,
    job_id: Word = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> DeadLetterList:
    """The tenant's dead letters, newest first."""
    return await services.dead_letters.page(caller.tenant, cause, job_id, limit, cursor)


@router.post("/redrive", responses=problem_responses(BODY_PROBLEMS), openapi_extra=_redrive.openapi())
async def redrive_dead_letters(
    caller: Operator, services: Services, body: Annotated[Body[RedriveRequest], Depends(_redrive)]
) -> RedriveResult:
    """Try dead letters again: their jobs go on where they stopped."""
    return await services.dead_letters.redrive(caller.tenant, body.value)
