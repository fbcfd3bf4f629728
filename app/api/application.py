"""The API put together: routes, errors, what runs around every request, and its OpenAPI document."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI

from app.api import errors
from app.api.document import completed, operation_id
from app.api.middleware import BodyLimit, RequestContext
from app.api.origins import AllowedOrigins
from app.api.proxies import TrustedProxies
from app.api.routes import (
    audit,
    dead_letters,
    documentation,
    erasures,
    jobs,
    keys,
    metrics,
    operations,
    overview,
    results,
    submission,
    tenant,
    webhooks,
)
from app.api.surface import MetricsApart, Surface
from app.api.traces import ServerSpans
from app.telemetry.requests import Requests

TITLE = "review-fetcher"

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Api(FastAPI):
    """FastAPI, whose document also tells what is true of every route: its keys, and the problems it may answer."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = completed(super().openapi())
        return self.openapi_schema


def create_api(
    *,
    version: str,
    lifespan: Lifespan | None = None,
    surface: Surface | None = None,
    requests: Requests | None = None,
) -> Api:
    """The API without its services: hand them over by `set_services` before the first request. `requests` counts."""
    shown, counted = surface or Surface(), requests or Requests()
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
    if shown.jobs:
        submission.add_to(app)
        counted.begin_at_zero(submission.PATH, "POST")
        for routes in (jobs, results, dead_letters, erasures, webhooks, overview, audit, keys):
            app.include_router(routes.router)
    app.include_router(operations.router)
    app.include_router(tenant.router)
    if shown.documentation:
        app.include_router(documentation.router)
    if shown.metrics != "off":
        app.include_router(metrics.guarded if shown.metrics == "key" else metrics.unguarded)
    app.state.surface = shown
    errors.install(app)
    _surround(app, shown, counted)
    return app


def _surround(app: FastAPI, shown: Surface, requests: Requests) -> None:
    """What is around every request, the innermost first."""
    app.add_middleware(BodyLimit)
    if shown.allowed_origins:
        app.add_middleware(AllowedOrigins, origins=shown.allowed_origins)
    if shown.metrics_port is not None:
        app.add_middleware(MetricsApart, port=shown.metrics_port)
    app.add_middleware(RequestContext, requests=requests)
    app.add_middleware(ServerSpans)
    if shown.trusted_proxies:
        app.add_middleware(TrustedProxies, networks=shown.trusted_proxies, headers=shown.proxy_headers)
