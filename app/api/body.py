"""Reads a JSON body after the caller is known; the framework would read and parse it before."""

import asyncio
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError

from app.api.errors import BodyTooSlowError, NotJsonError

READ_SECONDS = 20.0
"""For 64 KiB: slower is a mistake, or somebody who holds connections open."""

BODY_PROBLEMS = [400, 408, 413, 415, 422]
"""What a route with a body may answer besides."""

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Body(Generic[M]):
    """A body as it came and as what it means."""

    raw: bytes
    value: M


class JsonBody(Generic[M]):
    """The dependency that gives a route its `Body[M]`. Its errors, 415 and 422, never quote the body."""

    def __init__(self, model: type[M]) -> None:
        self._model = model

    async def __call__(self, request: Request) -> Body[M]:
        if not _is_json(request.headers.get("content-type", "")):
            raise NotJsonError
        raw = await read_body(request)
        if b"\\u0000" in raw:
            raise RequestValidationError([{"loc": ("body",), "msg": "text with NUL cannot be stored"}])
        try:
            return Body(raw, self._model.model_validate_json(raw))
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False, include_context=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in found])

    def openapi(self) -> dict[str, Any]:
        """What the route passes as `openapi_extra`."""
        schema = {"$ref": f"#/components/schemas/{self._model.__name__}"}
        return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


async def read_body(request: Request) -> bytes:
    """The whole body. Raises BodyTooSlowError, and BodyTooLargeError behind the middleware that counts."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await request.body()
    except TimeoutError:
        raise BodyTooSlowError from None
