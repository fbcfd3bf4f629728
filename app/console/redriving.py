"""The form of a redrive: ticked letters, those of a filter, or all; shown first, then confirmed."""

from dataclasses import dataclass

from fastapi import Request
from pydantic import ValidationError

from app.console.forms import Filled, problems_of, read_fields
from app.models.views import DeadLetterFilter, RedriveRequest

_CHOOSING = ("which", "ids", *DeadLetterFilter.model_fields)
_OPTIONS = ("rate", "include_parked")


@dataclass(frozen=True, slots=True)
class Redrive:
    """`request` is what to do; `fields` are those that chose the letters, to send them again when it is confirmed."""

    request: RedriveRequest
    fields: list[tuple[str, str]]


async def read_redrive(request: Request) -> Filled[Redrive]:
    """The dependency. Without `confirmed` it is a dry run."""
    sent = [(name, value) for name, value in await read_fields(request) if value]
    chosen = [(name, value) for name, value in sent if name in _CHOOSING]
    options = {name: value for name, value in sent if name in _OPTIONS}
    dry_run = ("confirmed", "yes") not in sent
    try:
        meant = RedriveRequest.model_validate({**_letters(chosen), **options, "dry_run": dry_run})
    except ValidationError as error:
        return Filled(None, problems_of(error))
    return Filled(Redrive(meant, chosen), {})


def _letters(chosen: list[tuple[str, str]]) -> dict[str, object]:
    single = dict(chosen)
    if single.get("which") == "all":
        return {"all": True}
    if single.get("which") == "filter":
        return {"filter": {name: single[name] for name in DeadLetterFilter.model_fields if name in single}}
    return {"ids": [value for name, value in chosen if name == "ids"]}
