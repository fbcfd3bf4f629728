"""One request to the simulated Google, taken apart, and one answer."""

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import Literal, NamedTuple
from urllib.parse import unquote, unquote_plus

Api = Literal["accounts", "locations", "reviews", "tokeninfo", "token", "other"]
"""`other`: a path that none of Google's methods here has."""

_unquote = lru_cache(maxsize=256)(unquote_plus)  # masks and orders repeat from call to call


@dataclass(slots=True)
class Call:
    """A request. `token` is the bearer of the Authorization header, of a call of the token endpoint the refresh token;
    "" without one."""

    method: str
    path: str
    query: dict[str, str]
    token: str
    wants_gzip: bool
    segments: tuple[str, ...] = ()
    api: Api = "accounts"
    form: dict[str, str] = field(default_factory=dict)
    sequence: int = 0
    page: int = 0
    outcome: str = "ok"

    @property
    def page_token(self) -> str:
        return self.query.get("pageToken", "")

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.token) if self.token else ""


class Answer(NamedTuple):
    """What goes back. `gzipped` says that the body already is."""

    status: int
    body: bytes
    gzipped: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json; charset=UTF-8"


def fingerprint(token: str) -> str:
    """16 hexadecimal digits that identify a token without giving it away."""
    return blake2b(token.encode(), digest_size=8).hexdigest()


def parse(method: str, target: str, authorization: str, accept_encoding: str, user_agent: str) -> Call:
    """Takes a request line and the headers that matter apart.

    Google compresses only when the client accepts gzip and says "gzip" in its User-Agent ("Performance tips").
    """
    path, _, query = target.partition("?")
    if "%" in path:
        path = unquote(path)
    scheme, _, token = authorization.partition(" ")
    segments = tuple(path.strip("/").split("/"))
    return Call(
        method,
        path,
        parse_query(query),
        token.strip() if scheme.lower() == "bearer" else "",
        "gzip" in accept_encoding and "gzip" in user_agent,
        segments,
        _api(segments),
    )


def parse_query(query: str) -> dict[str, str]:
    """The last value of every name (names as they are: none of Google's needs quoting)."""
    values: dict[str, str] = {}
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name:
            values[name] = _unquote(value) if "%" in value or "+" in value else value
    return values


def _api(segments: tuple[str, ...]) -> Api:
    if segments[0] == "v4":
        return "reviews"
    if segments[-1] == "tokeninfo":
        return "tokeninfo"
    if segments[0] == "token":
        return "token"
    if segments[0] != "v1":
        return "other"
    return "locations" if "locations" in segments[1:4] else "accounts"
