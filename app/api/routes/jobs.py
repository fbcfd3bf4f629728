"""Jobs: list, look at, control. Taking them in is `submission`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import Response

from app.api.auth import Operator, Reader, Right
from app.api.body import BODY_PROBLEMS, Body, JsonBody
from app.api.parameters import Cursor, JobId, Limit
from app.api.problems import problem_responses
from app.api.queries import LocationQuery
from app.api.schemas import TokenReplacement
from app.api.services import Services
from app.api.stream import EventStream, event_stream
from app.models.job import JobStatus
from app.models.locations import Reconciliation
from app.models.overview import AccountList
from app.models.views import JobList, JobView, LocationList

router = APIRouter(prefix="/api/v1/review-fetch", tags=["jobs"])

_replacement = JsonBody(TokenReplacement)


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


_EVENT = {
    "type": "object",
    "description": "One event; its data is JSON.",
    "properties": {
        "event": {"type": "string", "enum": ["state", "waiting", "progress", "done"]},
        "id": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events until the job has ended: `state`, `waiting`, `progress`, and `done` with the whole job.",
        "content": {EventStream.media_type: {"schema": _EVENT}},
    },
    204: {"description": "The job has ended, and the client has seen that: it need not come again."},
}

LastEvent = Annotated[str | None, Query(description="For clients that cannot set the header Last-Event-ID.")]


@router.get("/{job_id}/events", response_class=Response, responses=_STREAM | problem_responses([404, 422]))
async def follow_job(
    *,
    caller: Reader,
    services: Services,
    right: Right,
    job_id: JobId,
    last_event_id: LastEvent = None,
    last_event: Annotated[
        str | None, Header(alias="Last-Event-ID", description="The id of the last event seen.")
    ] = None,
) -> Response:
    """What happens to a job, as server-sent events. With the id of the last event seen, what changed since."""
    return event_stream(await services.events.follow(caller.tenant, job_id, last_event or last_event_id, right))


@router.get("/{job_id}/accounts", responses=problem_responses([404, 422]))
async def list_accounts(
    caller: Reader, services: Services, job_id: JobId, limit: Limit = 100, cursor: Cursor = None
) -> AccountList:
    """The accounts of a job: how far the listing of each is, and what its locations come to."""
    return await services.progress.accounts(caller.tenant, job_id, limit, cursor)


@router.get("/{job_id}/locations", responses=problem_responses([404, 422]))
async def list_locations(
    caller: Reader, services: Services, job_id: JobId, query: Annotated[LocationQuery, Query()]
) -> LocationList:
    """The locations of a job: what Google says of each, what was fetched, and why something is missing."""
    return await services.progress.locations(caller.tenant, job_id, query.limit, query.cursor, query)


@router.get("/{job_id}/reconciliation", responses=problem_responses([404, 422]))
async def reconcile_job(caller: Reader, services: Services, job_id: JobId) -> Reconciliation:
    """What a job fetched against what Google counts, over all its locations."""
    return await services.progress.reconciliation(caller.tenant, job_id)


@router.post("/{job_id}/cancel", responses=problem_responses([404, 409, 422]))
async def cancel_job(caller: Operator, services: Services, job_id: JobId) -> JobView:
    """End a job. What it has fetched stays."""
    return await services.job_control.cancel(caller.tenant, job_id, caller.origin)


@router.post("/{job_id}/pause", responses=problem_responses([404, 409, 422]))
async def pause_job(caller: Operator, services: Services, job_id: JobId) -> JobView:
    """Stop a job until it is resumed. Pages under way are still kept."""
    return await services.job_control.pause(caller.tenant, job_id, caller.origin)


@router.post("/{job_id}/resume", responses=problem_responses([404, 409, 422]))
async def resume_job(caller: Operator, services: Services, job_id: JobId) -> JobView:
    """Let a paused job go on at the page where it stopped."""
    return await services.job_control.resume(caller.tenant, job_id, caller.origin)


@router.put(
    "/{job_id}/token",
    responses=problem_responses([404, 409, *BODY_PROBLEMS]),
    openapi_extra=_replacement.openapi(),
)
async def replace_token(
    caller: Operator, services: Services, job_id: JobId, body: Annotated[Body[TokenReplacement], Depends(_replacement)]
) -> JobView:
    """Give a job a new access token; one that waits for it goes on at the page where it stopped."""
    return await services.api_service.replace_token(body.value, caller.tenant, job_id, caller.origin)
