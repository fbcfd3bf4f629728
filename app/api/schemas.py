"""What requests and the service's own answers look like. Jobs, reviews and dead letters are in `app.models.views`."""

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_core import PydanticCustomError

from app.models.grant import RefreshGrant

SHORTEST_TOKEN = 10
LONGEST_TOKEN = 8 * 1024
"""Google says that access tokens have up to 2,048 bytes, and that this may change."""

LONGEST_GRANT_PART = 2 * 1024
"""Google says that refresh tokens have up to 512 bytes; ids and secrets of clients have less than 100."""

_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")


def _usable_token(given: SecretStr) -> SecretStr:
    """Stripped. What could not stand in an HTTP header is refused here, with words that do not repeat it."""
    token = given.get_secret_value().strip()
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN:
        raise PydanticCustomError(
            "token_length",
            "an access token has {shortest} to {longest} characters",
            {"shortest": SHORTEST_TOKEN, "longest": LONGEST_TOKEN},
        )
    if not _VISIBLE_ASCII.fullmatch(token):
        raise PydanticCustomError("token_characters", "an access token has only visible ASCII characters, no spaces")
    return SecretStr(token)


AccessToken = Annotated[
    SecretStr,
    AfterValidator(_usable_token),
    Field(
        description="A Google OAuth 2.0 access token with the scope business.manage. Spaces around it are dropped.",
        json_schema_extra={"pattern": rf"^\s*[\x21-\x7e]{{{SHORTEST_TOKEN},{LONGEST_TOKEN}}}\s*$"},
    ),
]


def _usable_part(given: SecretStr) -> SecretStr:
    """As `_usable_token`, for a part of a grant."""
    part = given.get_secret_value().strip()
    if len(part) > LONGEST_GRANT_PART or not _VISIBLE_ASCII.fullmatch(part):
        raise PydanticCustomError(
            "grant_part", "this has 1 to {longest} visible ASCII characters, no spaces", {"longest": LONGEST_GRANT_PART}
        )
    return SecretStr(part)


_PART_PATTERN = {"pattern": rf"^\s*[\x21-\x7e]{{1,{LONGEST_GRANT_PART}}}\s*$"}

RefreshToken = Annotated[
    SecretStr,
    AfterValidator(_usable_part),
    Field(
        description="A Google OAuth 2.0 refresh token. New access tokens are asked for by it.",
        json_schema_extra=_PART_PATTERN,
    ),
]
ClientId = Annotated[
    SecretStr,
    AfterValidator(_usable_part),
    Field(description="The OAuth client that the refresh token was issued to.", json_schema_extra=_PART_PATTERN),
]
ClientSecret = Annotated[
    SecretStr,
    AfterValidator(_usable_part),
    Field(description="The secret of that OAuth client.", json_schema_extra=_PART_PATTERN),
]

_NOT_GIVEN = SecretStr("")
_GRANT = ("refresh_token", "client_id", "client_secret")


def _alternatives(schema: dict[str, Any]) -> None:
    """A token, or a grant, or both; of a grant all parts. What is left out has no value that could be sent instead."""
    for field in schema["properties"].values():
        field.pop("default", None)
    schema["anyOf"] = [{"required": ["access_token"]}, {"required": list(_GRANT)}]
    schema["dependentRequired"] = {name: [other for other in _GRANT if other != name] for name in _GRANT}


LONGEST_CALLBACK = 2_048


def _usable_callback(given: SecretStr) -> SecretStr:
    """What it resolves to is checked when it is called. It may hold a secret, so the words do not repeat it."""
    url = given.get_secret_value()
    if len(url) > LONGEST_CALLBACK:
        longest = {"longest": LONGEST_CALLBACK}
        raise PydanticCustomError("callback_length", "a callback URL has at most {longest} characters", longest)
    if not _VISIBLE_ASCII.fullmatch(url):
        message = "a callback URL has only visible ASCII characters: encode others as %20, a host's name as xn--…"
        raise PydanticCustomError("callback_characters", message)
    if not _is_plain_url(url):
        message = "a callback URL looks like https://example.com/hooks?key=value: no user name or password, no fragment"
        raise PydanticCustomError("callback_form", message)
    return given


def _is_plain_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        return False
    return whole and "@" not in parts.netloc and not set("#\\") & set(url)


CallbackUrl = Annotated[
    SecretStr,
    AfterValidator(_usable_callback),
    Field(
        description="Where the end of the job is told: https, or http where an operator allows it. Its query is not "
        "shown again.",
        json_schema_extra={"format": "uri", "maxLength": LONGEST_CALLBACK},
    ),
]


class TokenOrGrant(BaseModel):
    """How Google is asked in the name of a merchant."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_alternatives)

    access_token: AccessToken = _NOT_GIVEN
    refresh_token: RefreshToken = _NOT_GIVEN
    client_id: ClientId = _NOT_GIVEN
    client_secret: ClientSecret = _NOT_GIVEN

    @model_validator(mode="after")
    def _require_a_token_or_a_grant(self) -> Self:
        given = [name for name in _GRANT if getattr(self, name).get_secret_value()]
        if given and len(given) < len(_GRANT):
            raise PydanticCustomError(
                "grant_incomplete", "refresh_token, client_id and client_secret come together, or not at all"
            )
        if not given and not self.access_token.get_secret_value():
            raise PydanticCustomError(
                "no_token", "send an access_token, or refresh_token, client_id and client_secret, or all of them"
            )
        return self

    @property
    def grant(self) -> RefreshGrant | None:
        """What access tokens are asked for by, if it was given."""
        parts = [getattr(self, name).get_secret_value() for name in _GRANT]
        return RefreshGrant(*parts) if all(parts) else None


class ReviewFetchRequest(TokenOrGrant):
    """Fetch every review of every location of every account that this access token may see.

    With a grant (`refresh_token`, `client_id` and `client_secret`) access tokens are renewed for as long as the job
    takes; without an access token the first one is asked for too.
    """

    callback_url: CallbackUrl | None = None


class TokenReplacement(TokenOrGrant):
    """A new access token for a job, for the same Google user; or a grant, which replaces the one that the job had.

    An access token alone leaves a job its grant.
    """


class ReviewFetchResponse(BaseModel):
    """The job is durable and will end, whatever happens to the service."""

    job_id: str
    status: Literal["queued"] = "queued"
    message: str


class HealthCheckResponse(BaseModel):
    """`degraded` from 90 % of the buffer on; `memory_used_percent` is how full the buffer of waiting jobs is."""

    status: Literal["healthy", "degraded"]
    memory_used_percent: float


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """Whether the service can do its work: each part of it with `ok` or what is wrong."""

    ready: bool
    checks: Mapping[str, str]

    def without(self, parts: Collection[str]) -> "Readiness":
        """The same, judged without these parts. What is wrong with them is told all the same."""
        counted = {told for part, told in self.checks.items() if part not in parts}
        return Readiness(ready=counted <= {"ok"}, checks=self.checks)


class ServiceInformation(BaseModel):
    """What this is, and where to go on."""

    name: str
    version: str
    links: Mapping[str, str]


class FieldError(BaseModel):
    """One thing that is wrong with a request: where, and what."""

    field: str
    message: str


class ProblemDetails(BaseModel):
    """An error (RFC 9457): `type` is a machine's word, `detail` says what to do."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | None = None


def schema_of(*models: type[BaseModel]) -> dict[str, Any]:
    """JSON Schemas by name, for the models that the OpenAPI document names and no route returns."""
    from pydantic.json_schema import models_json_schema  # noqa: PLC0415

    _, document = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    definitions: dict[str, Any] = document.get("$defs", {})
    return definitions
