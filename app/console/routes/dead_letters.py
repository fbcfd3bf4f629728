"""The dead-letter desk: what was given up and why, and trying it again."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from app.api.parameters import Cursor, Word
from app.api.services import Services
from app.console.access import OperatingForm, Reader
from app.console.forms import Filled
from app.console.redriving import Redrive, read_redrive
from app.console.rendering import forward, page
from app.models.views import filter_of

router = APIRouter()

LETTERS_A_PAGE = 100

Told = Annotated[int | None, Query(ge=0)]


@router.get("/dead-letters")
async def list_dead_letters(
    visitor: Reader,
    request: Request,
    services: Services,
    *,
    cause: Word = None,
    job_id: Word = None,
    stage: Word = None,
    cursor: Cursor = None,
    matched: Told = None,
    redriven: Told = None,
) -> Response:
    """The tenant's dead letters by cause, and one by one. `matched`, `redriven`: what a redrive has just come to."""
    which = filter_of(cause=cause or None, job_id=job_id or None, stage=stage or None)
    letters = await services.dead_letters.page(visitor.tenant, which, LETTERS_A_PAGE, cursor)
    return page(
        request,
        "dead_letters.html",
        letters=letters,
        causes=(await services.dead_letters.causes(visitor.tenant, which.job_id if which else None)).causes,
        which=which.model_dump(exclude_none=True) if which else {},
        begun=cursor is not None,
        matched=matched,
        redriven=redriven,
    )


@router.get("/dead-letters/{letter_id:int}")
async def show_dead_letter(
    visitor: Reader, request: Request, services: Services, letter_id: Annotated[int, Path(ge=1, le=2**63 - 1)]
) -> Response:
    """One letter, and how the same work was given up before."""
    return page(request, "dead_letter.html", letter=await services.dead_letters.one(visitor.tenant, letter_id))


@router.post("/dead-letters/redrive")
async def redrive_dead_letters(
    visitor: OperatingForm,
    request: Request,
    services: Services,
    form: Annotated[Filled[Redrive], Depends(read_redrive)],
) -> Response:
    """First what would be tried again; when that was confirmed, it is."""
    if form.value is None:
        return page(request, "redrive.html", status_code=422, redrive=None, result=None, problems=form.problems)
    redrive = form.value
    result = await services.dead_letters.redrive(visitor.tenant, redrive.request, visitor.origin)
    if redrive.request.dry_run:
        return page(request, "redrive.html", redrive=redrive, result=result, problems={})
    return forward(request, f"/console/dead-letters?matched={result.matched}&redriven={result.redriven}")
