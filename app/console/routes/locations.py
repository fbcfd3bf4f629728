"""What a job found: accounts, their locations, and how many reviews of each."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.api.parameters import Cursor, JobId
from app.api.services import Services
from app.console.access import Reader
from app.console.forms import Chosen, Filled
from app.console.rendering import page
from app.models.job import ENDED, LocationState
from app.models.locations import LocationFilter

router = APIRouter()

ACCOUNTS_A_PAGE = 100
LOCATIONS_A_PAGE = 100

_chosen = Chosen(LocationFilter)


@router.get("/jobs/{job_id}/accounts")
async def list_accounts(
    visitor: Reader, request: Request, services: Services, job_id: JobId, cursor: Cursor = None
) -> Response:
    """The accounts of a job, each with what its locations come to."""
    job = await services.progress.job(visitor.tenant, job_id)
    accounts = await services.progress.accounts(visitor.tenant, job_id, ACCOUNTS_A_PAGE, cursor)
    return page(request, "accounts.html", job_id=job_id, ended=job.status in ENDED, accounts=accounts, cursor=cursor)


@router.get("/jobs/{job_id}/locations")
async def list_locations(
    visitor: Reader,
    request: Request,
    services: Services,
    job_id: JobId,
    *,
    choice: Annotated[Filled[LocationFilter], Depends(_chosen)],
    cursor: Cursor = None,
) -> Response:
    """The locations of a job: what Google says of each, what was fetched, and why something is missing."""
    wanted = choice.required
    found = await services.progress.locations(visitor.tenant, job_id, LOCATIONS_A_PAGE, cursor, wanted)
    return page(
        request,
        "locations.html",
        job_id=job_id,
        found=found,
        which={name: str(value).lower() for name, value in wanted.model_dump(exclude_defaults=True).items()},
        states=list(LocationState),
        begun=cursor is not None,
        whole=await services.progress.reconciliation(visitor.tenant, job_id),
    )
