"""The form that takes a job in."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.api.schemas import ReviewFetchRequest
from app.api.services import Services
from app.console.access import Submitter, SubmittingForm
from app.console.forms import Filled, Form
from app.console.rendering import forward, page

router = APIRouter()

_form = Form(ReviewFetchRequest)


@router.get("/jobs/new")
async def show_form(_visitor: Submitter, request: Request) -> Response:
    """The form, empty."""
    return page(request, "submit.html", problems={})


@router.post("/jobs/new")
async def submit(
    visitor: SubmittingForm,
    request: Request,
    services: Services,
    form: Annotated[Filled[ReviewFetchRequest], Depends(_form)],
) -> Response:
    """A job for the token, and its page. What was typed is never sent back."""
    if form.value is None:
        return page(request, "submit.html", status_code=422, problems=form.problems)
    accepted = await services.api_service.create_fetch_job(form.value, visitor.tenant, by=visitor.origin)
    return forward(request, f"/console/jobs/{accepted.job_id}")
