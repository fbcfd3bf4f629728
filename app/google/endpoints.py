"""Where Google's APIs live, and the paths of the calls."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

# One path segment: nothing that ends or leaves it. "." and ".." are refused apart, everything else is quoted.
_SEGMENT = r"(?!\.{1,2}$)([^/?#\\\s\x00-\x20\x7f-\xa0\ud800-\udfff\ufffd]{1,200})"
_ACCOUNT = re.compile(rf"accounts/{_SEGMENT}\Z")
_LOCATION = re.compile(rf"locations/{_SEGMENT}\Z")


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
        """One base for all of them: the simulator, or a proxy. ValueError when it is not a plain http(s) URL."""
        parts = urlsplit(base_url)
        plain = not (parts.query or parts.fragment or parts.username or parts.password)
        if parts.scheme not in {"http", "https"} or not parts.hostname or not plain:
            raise ValueError(
                "GOOGLE_API_BASE_URL must look like http://127.0.0.1:8080 (http or https, host, port)"
            )
        base = base_url.rstrip("/")
        return cls(accounts=base, locations=base, reviews=base, oauth=base)

    def accounts_url(self) -> str:
        return f"{self.accounts}/v1/accounts"

    def locations_url(self, account: str) -> str:
        """`account` is `accounts/{id}`; ValueError when it is anything else."""
        return f"{self.locations}/v1/{account_path(account)}/locations"

    def reviews_url(self, account: str, location: str) -> str:
        """`account` is `accounts/{id}`, `location` `locations/{id}`; ValueError when they are anything else."""
        return f"{self.reviews}/v4/{account_path(account)}/{location_path(location)}/reviews"

    def token_info_url(self) -> str:
        return f"{self.oauth}/tokeninfo"

    def bases(self) -> list[str]:
        """Each base once, in the order a walk meets them."""
        return list(dict.fromkeys((self.oauth, self.accounts, self.locations, self.reviews)))


def account_path(name: str) -> str:
    """`accounts/{id}` with the id quoted, so that no name can change the path; ValueError for other names."""
    return _path("accounts", _ACCOUNT.match(name))


def location_path(name: str) -> str:
    """`locations/{id}` with the id quoted, so that no name can change the path; ValueError for other names."""
    return _path("locations", _LOCATION.match(name))


def _path(collection: str, found: re.Match[str] | None) -> str:
    if found is None:
        raise ValueError(f"not a name of Google's {collection}")
    return f"{collection}/{quote(found.group(1), safe='')}"
