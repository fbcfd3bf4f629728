"""The API put together: routes, errors, what runs around every request, and its OpenAPI document."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI

from app.api import errors
from app.api.document import completed, operation_id
from app.api.middleware import BodyLimit, RequestContext
from app.api.routes import dead_letters, jobs, operations, overview, results, submission, webhooks

TITLE = "review-fetcher"

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Api(FastAPI):
    """FastAPI, whose document also tells what is true of every route: its keys, and the problems it may answer."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = completed(super().openapi())
        return self.openapi_schema


def create_api(*, version: str, lifespan: Lifespan | None = None, serve_jobs: bool = True) -> Api:
    """The API without its services: hand them over by `set_services` before the first request.

    Without `serve_jobs` it has the routes for operators alone: health, readiness, quota, settings, metrics.
    """
    app = Api(
        title=TITLE,
        version=version,
        summary="Every Google review of every location, once each, under Google's quota.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
    )
    if serve_jobs:
        submission.add_to(app)
        for routes in (jobs, results, dead_letters, webhooks, overview):
            app.include_router(routes.router)
    app.include_router(operations.router)
    errors.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestContext)
    return app
