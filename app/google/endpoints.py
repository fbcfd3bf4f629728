"""Where Google's APIs live, and the paths of the calls."""

import re
from dataclasses import dataclass
from typing import Self, TypeGuard
from urllib.parse import quote, urlsplit

from app.google.errors import bad_request

# One path segment: nothing that ends or leaves it, and neither "." nor ".."; what remains is quoted.
ACCOUNTS = "/v1/accounts"
LOCATIONS = "/v1/{account}/locations"
REVIEWS = "/v4/{account}/{location}/reviews"
TOKEN_INFO = "/tokeninfo"  # noqa: S105 - a path
TOKEN = "/token"  # noqa: S105 - a path
"""Templates of the paths, by which calls are called in traces."""

_SEGMENT = r"(?!\.{1,2}$)[^/?#\\\s\x00-\x20\x7f-\xa0\ud800-\udfff\ufffd]{1,200}"
_ACCOUNT = re.compile(f"accounts/{_SEGMENT}")
_LOCATION = re.compile(f"locations/{_SEGMENT}")


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Base URL (scheme, host, port; no trailing slash) of each API. Sources: Google's discovery documents."""

    accounts: str
    locations: str
    reviews: str
    oauth: str

    @classmethod
    def google(cls) -> Self:
        """The real ones."""
        return cls(
            accounts="https://mybusinessaccountmanagement.googleapis.com",
            locations="https://mybusinessbusinessinformation.googleapis.com",
            reviews="https://mybusiness.googleapis.com",
            oauth="https://oauth2.googleapis.com",
        )

    @classmethod
    def at(cls, base_url: str) -> Self:
        """One base for all of them: the simulator, or a proxy. ValueError unless it is a plain http(s) URL."""
        base = base_url.strip().rstrip("/")
        if not _is_plain(base):
            raise ValueError("GOOGLE_API_BASE_URL must look like http://127.0.0.1:8080 (http or https, host, port)")
        return cls(accounts=base, locations=base, reviews=base, oauth=base)

    def accounts_url(self) -> str:
        return f"{self.accounts}{ACCOUNTS}"

    def locations_url(self, account: str) -> str:
        """`account` is `accounts/{id}`; a `GoogleAPIError` (refused) for anything else."""
        return f"{self.locations}/v1/{_path(_ACCOUNT, account)}/locations"

    def reviews_url(self, account: str, location: str) -> str:
        """As `locations_url`, and `location` is `locations/{id}`."""
        return f"{self.reviews}/v4/{_path(_ACCOUNT, account)}/{_path(_LOCATION, location)}/reviews"

    def token_info_url(self) -> str:
        return f"{self.oauth}{TOKEN_INFO}"

    def token_url(self) -> str:
        """Where new access tokens are asked for."""
        return f"{self.oauth}{TOKEN}"

    def bases(self) -> list[str]:
        """Each base once, in the order a walk meets them."""
        return list(dict.fromkeys((self.oauth, self.accounts, self.locations, self.reviews)))


def _is_plain(base: str) -> bool:
    """Whether it is scheme, host, port, perhaps a path, and nothing else."""
    if re.search(r"[\s?#@\\]", base):
        return False
    try:
        parts = urlsplit(base)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def is_account(name: object) -> TypeGuard[str]:
    """Whether it is `accounts/{id}` with an id that a path can hold."""
    return isinstance(name, str) and _ACCOUNT.fullmatch(name) is not None


def is_location(name: object) -> TypeGuard[str]:
    """Whether it is `locations/{id}` with an id that a path can hold."""
    return isinstance(name, str) and _LOCATION.fullmatch(name) is not None


def _path(pattern: re.Pattern[str], name: str) -> str:
    """The name with its id quoted, so that no name can change the path."""
    if pattern.fullmatch(name) is None:
        raise bad_request("bad_name", "This is not the name of an account or location that a URL can hold.")
    collection, _, identity = name.partition("/")
    return f"{collection}/{quote(identity, safe='')}"
