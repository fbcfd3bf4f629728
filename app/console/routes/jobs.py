"""Jobs: the list, one job, and what can be done to it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.api.parameters import Cursor, JobId
from app.api.schemas import TokenReplacement
from app.api.services import ApiServices, Services
from app.console.access import OperatingForm, Reader, Visitor
from app.console.forms import Filled, Form
from app.console.rendering import forward, page
from app.models.job import ENDED, JobStatus
from app.models.transitions import JobAction, possible

router = APIRouter()

JOBS_A_PAGE = 50

_replacement = Form(TokenReplacement)


@router.get("/jobs")
async def list_jobs(
    visitor: Reader, request: Request, services: Services, status: JobStatus | None = None, cursor: Cursor = None
) -> Response:
    """The tenant's jobs, newest first."""
    jobs = await services.progress.jobs(visitor.tenant, status, JOBS_A_PAGE, cursor)
    return page(request, "jobs.html", jobs=jobs, status=status, states=list(JobStatus), begun=cursor is not None)


@router.get("/jobs/{job_id}")
async def show_job(visitor: Reader, request: Request, services: Services, job_id: JobId) -> Response:
    """A job as it stands."""
    return await _job_page(request, visitor, services, job_id)


@router.post("/jobs/{job_id}/cancel")
async def cancel_job(visitor: OperatingForm, request: Request, services: Services, job_id: JobId) -> Response:
    """End a job."""
    await services.job_control.cancel(visitor.tenant, job_id, visitor.origin)
    return forward(request, f"/console/jobs/{job_id}")


@router.post("/jobs/{job_id}/pause")
async def pause_job(visitor: OperatingForm, request: Request, services: Services, job_id: JobId) -> Response:
    """Stop a job until it is resumed."""
    await services.job_control.pause(visitor.tenant, job_id, visitor.origin)
    return forward(request, f"/console/jobs/{job_id}")


@router.post("/jobs/{job_id}/resume")
async def resume_job(visitor: OperatingForm, request: Request, services: Services, job_id: JobId) -> Response:
    """Let a paused job go on."""
    await services.job_control.resume(visitor.tenant, job_id, visitor.origin)
    return forward(request, f"/console/jobs/{job_id}")


@router.post("/jobs/{job_id}/token")
async def replace_token(
    visitor: OperatingForm,
    request: Request,
    services: Services,
    job_id: JobId,
    form: Annotated[Filled[TokenReplacement], Depends(_replacement)],
) -> Response:
    """Give a job a new access token."""
    if form.value is None:
        return await _job_page(request, visitor, services, job_id, status=422, problems=dict(form.problems))
    await services.api_service.replace_token(form.value, visitor.tenant, job_id, visitor.origin)
    return forward(request, f"/console/jobs/{job_id}")


async def _job_page(
    request: Request,
    visitor: Visitor,
    services: ApiServices,
    job_id: str,
    *,
    status: int = 200,
    problems: dict[str, str] | None = None,
) -> Response:
    job = await services.progress.job(visitor.tenant, job_id)
    return page(
        request,
        "job.html",
        status_code=status,
        job=job,
        job_id=job.job_id,
        ended=job.status in ENDED,
        actions=possible(job.status) if visitor.may_operate else (),
        action=JobAction,
        problems=problems or {},
    )
