"""Pages of other origins (CORS): those that are listed may call the API, none may use a session of the console."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.problems import Problem

API = "/api/"

METHODS = ("DELETE", "GET", "POST", "PUT")
"""All that the API has."""

SENT = ("Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "X-API-Key", "X-Request-ID")
READ = ("Content-Disposition", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID")


class AllowedOrigins(CORSMiddleware):
    """Without credentials: a page sends an API key of its own, and no cookie is of any use to it."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        super().__init__(
            app, allow_origins=origins, allow_methods=METHODS, allow_headers=SENT, expose_headers=READ, max_age=600
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(API):
            await super().__call__(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def preflight_response(self, request_headers: Headers) -> Response:
        answer = super().preflight_response(request_headers)
        varied = {"Vary": answer.headers["Vary"]}
        if answer.status_code >= 400:
            detail = "CORS_ALLOWED_ORIGINS does not list this origin, or the API takes no such method or header."
            return Problem("origin-refused", 403, "Not for this origin", detail, headers=varied)
        told = {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}
        return Response(status_code=204, headers=told | varied)
