"""Pages of accounts.list and locations.list, tokeninfo, the token endpoint. Few and small beside the reviews: read with
care, always.

Field names from Google's discovery documents (Account Management v1, Business Information v1).
"""

import re
from typing import Any

from app.google.document import list_in, load_object, page_token_in, text_or_none, title_in
from app.google.endpoints import is_account, is_location
from app.google.errors import broken_answer
from app.google.pages import AccountsPage, FreshToken, LocationsPage, TokenInfo
from app.models.review import Account, Location

# An OAuth client id begins with the number of its Google project, and quota belongs to the project.
_CLIENT_ID = re.compile(r"(\d{1,30})(?:-[0-9a-z]+)?\.apps\.googleusercontent\.com")
# What an HTTP header can carry; an access token has up to 2,048 bytes, says Google, and that this may change.
_TOKEN = re.compile(r"[!-~]{1,8192}")
_LONGEST_LIFE = 366 * 86_400


def decode_accounts(body: bytes) -> AccountsPage:
    """The accounts in `body`; a `GoogleAPIError` (transient) for a broken answer."""
    document = load_object(body)
    items = list_in(document, "accounts")
    accounts = [account for item in items if (account := _account(item))]
    return AccountsPage(accounts, page_token_in(document), odd=len(items) - len(accounts))


def decode_locations(body: bytes) -> LocationsPage:
    """The locations in `body`; a `GoogleAPIError` (transient) for a broken answer."""
    document = load_object(body)
    items = list_in(document, "locations")
    locations = [location for item in items if (location := _location(item))]
    return LocationsPage(locations, page_token_in(document), odd=len(items) - len(locations))


def decode_token_info(body: bytes) -> TokenInfo:
    """What tokeninfo says, in its older (audience) and newer (aud) spelling; a `GoogleAPIError` for a broken answer."""
    document = load_object(body)
    audience = text_or_none(document.get("aud")) or text_or_none(document.get("audience"))
    return TokenInfo(project=_project(audience), expires_in=_seconds(document.get("expires_in")))


def decode_fresh_token(body: bytes) -> FreshToken:
    """The token endpoint's answer; without a usable access token a `GoogleAPIError` (transient) that quotes nothing."""
    document = load_object(body)
    access_token = _token(document.get("access_token"))
    if access_token is None:
        raise broken_answer("no_access_token", "without an access token that can be used")
    # A token that would have no life at all is tried: one that is really dead is refused, and waited with.
    lives = _seconds(document.get("expires_in")) or None
    return FreshToken(access_token, lives, _token(document.get("refresh_token")))


def _token(value: object) -> str | None:
    return value if isinstance(value, str) and _TOKEN.fullmatch(value) else None


def _account(item: object) -> Account | None:
    if not isinstance(item, dict) or not is_account(name := item.get("name")):
        return None
    return Account(name=name, title=title_in(item, "accountName"))


def _location(item: object) -> Location | None:
    if not isinstance(item, dict) or not is_location(name := item.get("name")):
        return None
    metadata = item.get("metadata")
    return Location(
        name=name,
        title=title_in(item, "title"),
        store_code=title_in(item, "storeCode") or None,
        place_id=(title_in(metadata, "placeId") or None) if isinstance(metadata, dict) else None,
        verified=_verified(metadata),
    )


def _verified(metadata: Any) -> bool | None:
    if not isinstance(metadata, dict):
        return None
    flag = metadata.get("hasVoiceOfMerchant", False)
    return flag if isinstance(flag, bool) else None


def _project(audience: str | None) -> str | None:
    client_id = _CLIENT_ID.fullmatch(audience or "")
    return client_id.group(1) if client_id else audience or None


def _seconds(value: object) -> int | None:
    """Seconds, which Google sometimes writes as a text; None for what cannot be a token's life."""
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,12}", value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return max(value, 0) if value <= _LONGEST_LIFE else None
