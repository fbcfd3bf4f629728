"""The OpenAPI document, completed with what is true of every route: keys, problems, headers, and where ids lead."""

from collections.abc import Iterator
from typing import Any

from fastapi.routing import APIRoute

from app.api.problems import problem_responses
from app.api.schemas import ProblemDetails, ReviewFetchRequest, TokenReplacement, schema_of
from app.models.erasure import ErasureRequest
from app.models.keys import KeyCreation, KeyRotation
from app.models.views import RedriveRequest

Document = dict[str, Any]

_OWN_SCHEMAS = (
    ProblemDetails,
    ReviewFetchRequest,
    TokenReplacement,
    RedriveRequest,
    ErasureRequest,
    KeyCreation,
    KeyRotation,
)
"""Of problems, and of bodies that the routes read themselves."""


def operation_id(route: APIRoute) -> str:
    """The name of the route's function: what a generated client calls it."""
    return route.name


def completed(document: Document) -> Document:
    """The same document, changed in place."""
    schemas = document["components"]["schemas"]
    schemas.update(schema_of(*_OWN_SCHEMAS))
    document["components"]["securitySchemes"]["Bearer"] = {"type": "http", "scheme": "bearer"}
    document["components"]["headers"] = {"X-Request-ID": _REQUEST_ID}
    for _, operation in _operations(document):
        _complete(operation)
    _add_links(document)
    return document


def _operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, operations in document["paths"].items():
        for operation in operations.values():
            yield path, operation


def _complete(operation: Document) -> None:
    """An API key may come in either of two headers; without a valid one every guarded route answers alike, and each
    refuses a parameter that it does not have."""
    common = [414, 500] if "security" not in operation else [401, 403, 414, 422, 429, 500, 503]
    documented = {str(status): told for status, told in problem_responses(common).items()}
    operation["responses"] = dict(sorted((documented | operation["responses"]).items()))
    for response in operation["responses"].values():
        response.setdefault("headers", {})["X-Request-ID"] = {"$ref": "#/components/headers/X-Request-ID"}
    for requirement in tuple(operation.get("security", ())):
        operation["security"].append({"Bearer": requirement["ApiKey"]})


_REQUEST_ID = {
    "description": "The id that the request brought in this header, or the one it was given. The log has it too.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
}

_OF_A_JOB = (
    "get_job",
    "follow_job",
    "list_accounts",
    "list_locations",
    "reconcile_job",
    "list_reviews",
    "list_webhooks",
    "pause_job",
    "resume_job",
    "cancel_job",
    "replace_token",
)
"""What goes on from the id of a job."""

_LINKS: dict[tuple[str, str], dict[str, dict[str, str]]] = {
    ("submit_review_fetch", "202"): {name: {"job_id": "/job_id"} for name in _OF_A_JOB},
    ("list_jobs", "200"): {name: {"job_id": "/jobs/0/job_id"} for name in _OF_A_JOB}
    | {"list_jobs": {"cursor": "/next_cursor"}},
    ("list_accounts", "200"): {"list_accounts": {"cursor": "/next_cursor"}},
    ("list_locations", "200"): {"list_locations": {"cursor": "/next_cursor"}},
    ("list_reviews", "200"): {"list_reviews": {"cursor": "/next_cursor"}},
    ("read_feed", "200"): {"read_feed": {"after": "/next_cursor"}},
    ("list_dead_letters", "200"): {
        "get_dead_letter": {"letter_id": "/items/0/id"},
        "get_job": {"job_id": "/items/0/job_id"},
        "list_dead_letters": {"cursor": "/next_cursor"},
    },
    ("list_webhooks", "200"): {"resend_webhook": {"webhook_id": "/items/0/id"}},
}
"""Which members of an answer are parameters of which further operation, as JSON pointers."""


def _add_links(document: Document) -> None:
    """A page of the same job goes on with the same job: its own parameters are passed on."""
    for path, operation in _operations(document):
        for (source, status), targets in _LINKS.items():
            if operation["operationId"] == source:
                kept = {"job_id": "$request.path.job_id"} if "{job_id}" in path else {}
                operation["responses"][status]["links"] = {
                    name: _link(name, found, kept) for name, found in targets.items()
                }


def _link(operation: str, found: dict[str, str], kept: dict[str, str]) -> Document:
    return {
        "operationId": operation,
        "parameters": kept | {name: f"$response.body#{pointer}" for name, pointer in found.items()},
    }
