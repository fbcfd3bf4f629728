"""Reads a JSON body after the caller is known; the framework would read and parse it before."""

import asyncio
import re
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers

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
        if not _is_json(request.headers):
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


_JSON = re.compile(r"\s*application/json\s*(?:;\s*charset=(?:utf-8|\"utf-8\")\s*)?", re.IGNORECASE)


def _is_json(headers: Headers) -> bool:
    """One declaration, of what is read here: JSON is UTF-8 (RFC 8259 §8.1), and nothing is unpacked."""
    declared = headers.getlist("content-type")
    plain = all(coding.strip().lower() == "identity" for coding in headers.getlist("content-encoding"))
    return len(declared) == 1 and plain and _JSON.fullmatch(declared[0]) is not None


async def read_body(request: Request) -> bytes:
    """The whole body. Raises BodyTooSlowError, and BodyTooLargeError behind the middleware that counts."""
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await request.body()
    except TimeoutError:
        raise BodyTooSlowError from None
