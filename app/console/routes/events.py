"""What happens to a job, for the script of its page."""

from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import Response

from app.api.parameters import JobId
from app.api.services import Services
from app.api.stream import event_stream
from app.console.access import Reader

router = APIRouter()


@router.get("/jobs/{job_id}/events")
async def follow_job(
    visitor: Reader,
    services: Services,
    job_id: JobId,
    last_event: Annotated[str | None, Header(alias="Last-Event-ID", max_length=200)] = None,
) -> Response:
    """The same events as the API's. The page asks for itself anew when one comes."""
    return event_stream(await services.events.follow(visitor.tenant, job_id, last_event, visitor.right))
