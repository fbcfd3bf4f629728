"""The API's own description, for people and for machines."""

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse

from app.api.auth import AnyCaller
from app.api.headers import PAGE_HEADERS
from app.api.reference import REFERENCE_POLICY, reference_page

router = APIRouter(tags=["operations"])


@router.get("/openapi.json", response_class=JSONResponse)
async def get_openapi(_caller: AnyCaller, request: Request) -> JSONResponse:
    """This API as an OpenAPI 3.1 document."""
    return JSONResponse(request.app.openapi())


@router.get("/docs", response_class=HTMLResponse)
async def get_reference(caller: AnyCaller, request: Request) -> HTMLResponse:
    """This API as a page to read."""
    headers = {"Content-Security-Policy": REFERENCE_POLICY, **PAGE_HEADERS}
    return HTMLResponse(reference_page(request.app.openapi(), is_open=caller.key_id is None), headers=headers)
