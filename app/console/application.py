"""The console put together: an application of its own below /console, with pages for its errors."""

from fastapi import FastAPI
from starlette.responses import RedirectResponse
from starlette.routing import Route

from app.console import errors
from app.console.assets import send_asset
from app.console.routes import (
    dead_letters,
    events,
    jobs,
    locations,
    operations,
    overview,
    results,
    sign_in,
    submission,
    webhooks,
)
from app.console.sessions import PATH

ROUTES = (
    sign_in,
    overview,
    submission,  # before jobs: /jobs/new is no job
    jobs,
    events,
    locations,
    results,
    webhooks,
    dead_letters,
    operations,
)


def create_console(*, version: str) -> FastAPI:
    """The console without its services: hand them over by `set_console_services` before the first request."""
    console = FastAPI(version=version, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    console.router.routes.append(Route("/static/{digest}/{name}", send_asset, methods=["GET"]))
    for routes in ROUTES:
        console.include_router(routes.router)
    errors.install(console)
    return console


def add_console(app: FastAPI, console: FastAPI) -> None:
    """Serve the console below /console."""
    app.router.routes.append(Route(PATH, _with_slash, methods=["GET"], include_in_schema=False))
    app.mount(PATH, console)


async def _with_slash(_request: object) -> RedirectResponse:
    return RedirectResponse(f"{PATH}/", 308)
