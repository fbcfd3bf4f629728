"""What was told to a job's callback, and telling it again."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from app.api.parameters import JobId
from app.api.services import Services
from app.console.access import OperatingForm, Reader
from app.console.rendering import forward, page

router = APIRouter()


@router.get("/jobs/{job_id}/webhooks")
async def list_webhooks(visitor: Reader, request: Request, services: Services, job_id: JobId) -> Response:
    """The messages to the job's callback, newest first."""
    webhooks = await services.webhooks.of_job(visitor.tenant, job_id)
    return page(request, "webhooks.html", job_id=job_id, webhooks=webhooks)


@router.post("/jobs/{job_id}/webhooks/{webhook_id}/resend")
async def resend_webhook(
    visitor: OperatingForm,
    request: Request,
    services: Services,
    job_id: JobId,
    webhook_id: Annotated[int, Path(ge=1, le=2**63 - 1)],
) -> Response:
    """Send a message once more, also one that was delivered."""
    await services.webhooks.resend(visitor.tenant, job_id, webhook_id, visitor.origin)
    return forward(request, f"/console/jobs/{job_id}/webhooks")
