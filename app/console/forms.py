"""What a browser sends: forms as browsers encode them, and filters in the address."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel, ValidationError

from app.api.body import read_body

MOST_FIELDS = 2_000
"""More than a page of ticked dead letters has."""


class NotUnderstoodError(Exception):
    """The address names a filter that does not exist. Go back and choose again."""


M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Filled(Generic[T]):
    """A form as it was filled in: what it means, or what is wrong with each field, in words that do not repeat it."""

    value: T | None
    problems: Mapping[str, str]

    @property
    def required(self) -> T:
        """The value, where a page cannot do without it. Raises NotUnderstoodError."""
        if self.value is None:
            raise NotUnderstoodError
        return self.value


class Chosen(Generic[M]):
    """The dependency that reads a filter from the address. Parameters that the filter does not have are not its own."""

    def __init__(self, model: type[M]) -> None:
        self._model = model
        self._several = {name for name, field in model.model_fields.items() if isinstance(field.default, frozenset)}

    async def __call__(self, request: Request) -> Filled[M]:
        query = request.query_params
        given: dict[str, object] = {name: query[name] for name in self._model.model_fields if query.get(name)}
        given |= {name: [one for one in query.getlist(name) if one] for name in self._several & given.keys()}
        return understood(self._model, given)


class Form(Generic[M]):
    """The dependency that gives a route its `Filled[M]`. An empty field counts as one that is not there."""

    def __init__(self, model: type[M]) -> None:
        self._model = model

    async def __call__(self, request: Request) -> Filled[M]:
        return understood(self._model, await read_form(request))


def understood(model: type[M], fields: Mapping[str, object]) -> Filled[M]:
    """The model, made of those fields that it knows."""
    given = {name: value for name, value in fields.items() if name in model.model_fields and value}
    try:
        return Filled(model.model_validate(given), {})
    except ValidationError as error:
        return Filled(None, problems_of(error))


def problems_of(error: ValidationError) -> dict[str, str]:
    """Field → what is wrong with it; "" is the form as a whole. Never what was typed."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return {str(one["loc"][0]) if one["loc"] else "": one["msg"].removeprefix("Value error, ") for one in found}


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form by name; of several with one name the last."""
    return dict(await read_fields(request))


async def read_fields(request: Request) -> list[tuple[str, str]]:
    """The fields of a form in their order. What is no form has none."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        return []
    body = (await read_body(request)).decode("utf-8", "replace").replace("\0", "")
    try:
        return parse_qsl(body, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return []
