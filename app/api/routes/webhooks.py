"""Webhooks: what was told to a job's callback, sending it again, and the secrets that receivers verify by."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from app.api.auth import Administrator, Operator, Reader
from app.api.parameters import JobId
from app.api.problems import problem_responses
from app.api.services import Services
from app.models.views import Number
from app.models.webhooks import WebhookList, WebhookSecrets, WebhookView

router = APIRouter(prefix="/api/v1", tags=["webhooks"])

WebhookId = Annotated[Number, Path(description="The id that the list of the job's webhooks tells.")]


@router.get("/review-fetch/{job_id}/webhooks", responses=problem_responses([404, 422]))
async def list_webhooks(caller: Reader, services: Services, job_id: JobId) -> WebhookList:
    """The messages to a job's callback, newest first."""
    return await services.webhooks.of_job(caller.tenant, job_id)


@router.post("/review-fetch/{job_id}/webhooks/{webhook_id}/resend", responses=problem_responses([404, 422]))
async def resend_webhook(caller: Operator, services: Services, job_id: JobId, webhook_id: WebhookId) -> WebhookView:
    """Send a message once more, also one that was delivered: the same body under the same `webhook-id`."""
    return await services.webhooks.resend(caller.tenant, job_id, webhook_id, caller.origin)


@router.get("/webhooks/secrets")
async def get_webhook_secrets(caller: Administrator, services: Services, response: Response) -> WebhookSecrets:
    """What the caller's receivers verify messages by. Keep them secret."""
    response.headers["Cache-Control"] = "no-store"
    return await services.webhooks.secrets(caller.tenant, caller.origin)
