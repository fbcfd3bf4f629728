"""The API put together: routes, errors, what runs around every request, and its OpenAPI document."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI

from app.api import errors
from app.api.auth import OPEN_ROUTES
from app.api.middleware import BodyLimit, RequestContext
from app.api.problems import problem_responses
from app.api.routes import dead_letters, jobs, operations, overview, results, submission, tenant, webhooks
from app.api.schemas import ProblemDetails, ReviewFetchRequest, TokenReplacement, schema_of
from app.models.views import RedriveRequest

TITLE = "review-fetcher"

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Api(FastAPI):
    """FastAPI, whose document also tells what is true of every route: its keys, and the problems it may answer."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = _completed(super().openapi())
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
    )
    if serve_jobs:
        submission.add_to(app)
        for routes in (jobs, results, dead_letters, webhooks, overview):
            app.include_router(routes.router)
    app.include_router(operations.router)
    app.include_router(tenant.router)
    errors.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(RequestContext)
    return app


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document["components"]["schemas"]
    schemas.update(schema_of(ProblemDetails, ReviewFetchRequest, TokenReplacement, RedriveRequest))
    document["components"]["securitySchemes"]["Bearer"] = {"type": "http", "scheme": "bearer"}
    for path, operations_of_path in document["paths"].items():
        for operation in operations_of_path.values():
            _complete(operation, is_open=path in OPEN_ROUTES)
    return document


def _complete(operation: dict[str, Any], *, is_open: bool) -> None:
    """An API key may come in either of two headers; without a valid one every guarded route answers alike."""
    common = [500] if is_open else [401, 403, 500, 503]
    documented = {str(status): told for status, told in problem_responses(common).items()}
    operation["responses"] = dict(sorted((documented | operation["responses"]).items()))
    for requirement in tuple(operation.get("security", ())):
        operation["security"].append({"Bearer": requirement["ApiKey"]})
