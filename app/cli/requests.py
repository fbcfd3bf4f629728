"""Requests made from a command line: secrets from the environment or stdin, checked as the API checks them."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, SecretStr, ValidationError

from app.cli.exits import UsageError
from app.cli.secret_options import STDIN, told_in_public

NO_TOKEN = "no access token: set REVIEW_FETCHER_TOKEN, or give --token - and the token on stdin"  # noqa: S105 - a text

Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="REVIEW_FETCHER_TOKEN",
        show_default=False,
        callback=told_in_public,
        help="Google OAuth access token; - reads it from stdin. Others on this machine can read a command's options: "
        "prefer the variable or stdin.",
    ),
]

GRANT = ("refresh_token", "client_id", "client_secret")

Grant = Annotated[
    str | None,
    typer.Option(
        "--grant",
        help="What access tokens are asked for by: a JSON file with refresh_token, client_id and client_secret; - "
        "reads it from stdin. Else the variables REVIEW_FETCHER_REFRESH_TOKEN, REVIEW_FETCHER_CLIENT_ID and "
        "REVIEW_FETCHER_CLIENT_SECRET.",
    ),
]

Model = TypeVar("Model", bound=BaseModel)


def given_token(option: str | None) -> str | None:
    """What --token means. Raises UsageError, which quotes nothing."""
    if option != STDIN:
        return option
    if sys.stdin.isatty():
        typer.echo("Paste the access token and press Enter:", err=True)
    try:
        return sys.stdin.readline().strip()
    except UnicodeDecodeError:
        raise UsageError("--token: what came from stdin is not UTF-8") from None


def given_grant(option: str | None, token: str | None) -> dict[str, str]:
    """What --grant or the variables say; empty when there is no grant. Raises UsageError, which quotes nothing."""
    if option is None:
        named = {name: os.environ.get(f"REVIEW_FETCHER_{name.upper()}") for name in GRANT}
        return {name: value for name, value in named.items() if value}
    if option == STDIN and token == STDIN:
        raise UsageError("--token and --grant cannot both be read from stdin")
    try:
        text = sys.stdin.read() if option == STDIN else Path(option).read_text(encoding="utf-8")
        return _parts_of_grant(json.loads(text))
    except OSError as error:
        raise UsageError(f"--grant: cannot read {option}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UsageError(f"--grant: {option} is no JSON object with {', '.join(GRANT)}") from None


def _parts_of_grant(given: Any) -> dict[str, str]:
    """Raises KeyError or TypeError for what is no object with all of them, each a text that is not empty."""
    parts = {name: given[name] for name in GRANT}
    if not all(isinstance(part, str) and part for part in parts.values()):
        raise TypeError
    return parts


def token_request(model: type[Model], token: str | None, **others: object) -> Model:
    """A request with what was given of a token, a grant and more. Raises UsageError, which quotes nothing of it."""
    given = {"access_token": token} | others
    if token is None and not set(GRANT) & set(others):
        raise UsageError(f"{NO_TOKEN}; or a grant by --grant")
    try:
        return model.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise UsageError(f"{_option(first['loc'])}: {first['msg']}") from None


def _option(place: Sequence[int | str]) -> str:
    """Which option a field of a request came from; what holds for the whole of it is about the grant."""
    name = str(place[0]) if place else GRANT[0]
    if name in GRANT:
        return f"--grant, {name}" if place else "--grant"
    return "--token" if name == "access_token" else f"--{name.replace('_', '-')}"


def chosen(model: type[Model], **options: object) -> Model:
    """A filter of what was given on the command line, by the names of the options. Raises UsageError."""
    try:
        return model.model_validate({name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"--{option}: {first['msg'].removeprefix('Value error, ')}") from None


def plain(request: BaseModel) -> dict[str, Any]:
    """The body of a request, secrets and all: what is set, as JSON has it."""
    body = request.model_dump(mode="json", exclude_none=True)
    secrets = {name: value.get_secret_value() for name, value in request if isinstance(value, SecretStr)}
    return {name: value for name, value in (body | secrets).items() if value}
