"""The route that takes jobs in: thousands a second, so it does without the framework's solving of parameters."""

import re
from typing import Any

from fastapi import FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from app.api.auth import Access
from app.api.body import BODY_PROBLEMS, JsonBody
from app.api.direct import DirectRoute
from app.api.problems import problem_responses
from app.api.rate_limits import LIMIT_HEADERS, limit_headers
from app.api.schemas import ReviewFetchRequest, ReviewFetchResponse
from app.api.service import Accepted
from app.api.services import services_of
from app.models.access import Scope

PATH = "/api/v1/review-fetch"

_caller = Access(Scope.SUBMIT)
_body = JsonBody(ReviewFetchRequest)

_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
_IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Sent again within 24 hours with the same body, it gives the same job.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x21-\\x7e]+$"},
}

_ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {
        "headers": {
            "Location": {"description": "Where the job is.", "required": True, "schema": {"type": "string"}},
        }
        | LIMIT_HEADERS
    }
}


async def submit_review_fetch(request: Request) -> Response:
    """Submit a job. 202 means that it is durable; follow it at the address in Location."""
    caller = await _caller(request)
    key = _idempotency_key(request)
    body = await _body(request)
    return _accepted(
        await services_of(request).api_service.submit(
            body.value, caller.tenant, idempotency_key=key, body=body.raw, by=caller.origin
        )
    )


def _idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not _VISIBLE.fullmatch(key):
        message = "an Idempotency-Key has 1 to 255 visible ASCII characters"
        raise RequestValidationError([{"loc": ("header", "idempotency_key"), "msg": message}])
    return key


def _accepted(accepted: Accepted) -> Response:
    answer = accepted.answer
    headers = {"Location": f"{PATH}/{answer.job_id}"} | limit_headers(accepted.limits)
    return Response(answer.model_dump_json(), 202, headers, "application/json")


def add_to(app: FastAPI) -> None:
    """Add the route, documented like the others."""
    app.router.add_api_route(
        PATH,
        submit_review_fetch,
        methods=["POST"],
        status_code=202,
        response_model=ReviewFetchResponse,
        responses=_ACCEPTED | problem_responses([*BODY_PROBLEMS, 429]),
        dependencies=[Security(_caller, scopes=[Scope.SUBMIT.value])],
        openapi_extra=_body.openapi() | {"parameters": [_IDEMPOTENCY_KEY]},
        route_class_override=DirectRoute,
        tags=["jobs"],
    )
