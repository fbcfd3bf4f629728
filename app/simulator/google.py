"""Google's methods over a world, as far as its documents say: a call in, an answer or a Refusal out. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.simulator import directory, fields, pages
from app.simulator.calls import Answer, Call
from app.simulator.catalogue import Catalogue
from app.simulator.changes import Changes
from app.simulator.engine import Plan
from app.simulator.faults import Distort, Faults, LoopingPageToken, Mutate, Overlap
from app.simulator.fields import Mask, MaskError, Schema
from app.simulator.fragments import encode
from app.simulator.listing import Page, ReviewLister, finish, to_json
from app.simulator.pages import PageTokenError, Position
from app.simulator.refusals import REVOKED, Refusal, error, oauth_error
from app.simulator.tokens import Tokens

_ORDERS = {"": "", "updateTime desc": "", "update_time desc": "", "rating": "rating", "rating desc": "rating desc"}
_PARENTS = ("ORGANIZATION", "USER_GROUP")  # "only for organizations and user groups", says accounts.list


@dataclass(slots=True)
class _Request:
    """A call, what goes wrong with it, and the world it asks about."""

    call: Call
    plan: Plan
    faults: Faults
    catalogue: Catalogue


@dataclass(slots=True)
class _Limits:
    """The page sizes of a list: without a wish, and at most."""

    usual: int
    most: int


_ACCOUNTS = _Limits(20, 20)
_LOCATIONS = _Limits(10, 100)
_REVIEWS = _Limits(50, 50)  # the usual size is not documented


@dataclass(slots=True)
class _Window:
    """The part of a list that a request asks for, and the token of the part behind it."""

    offset: int
    size: int
    next_token: str


class Google:
    """The methods that a review fetcher calls."""

    def __init__(self, tokens: Tokens, changes: Changes, cache_bytes: int) -> None:
        self._tokens = tokens
        self._changes = changes
        self._reviews = ReviewLister(changes, cache_bytes)

    def answer(self, call: Call, plan: Plan, faults: Faults) -> Answer:
        """The answer to an authorized GET. Raises Refusal."""
        request = _Request(call, plan, faults, self._tokens.catalogue_of(call.token))
        match call.segments:
            case ("v4", "accounts", account, "locations", location, "reviews"):
                return self._list_reviews(request, account, location)
            case ("v1", "accounts", account, "locations"):
                return self._list_locations(request, account)
            case ("v1", "accounts"):
                return self._list_accounts(request)
            case ("v4", "accounts", account, "locations", location, "reviews", review):
                return self._get_review(request, account, location, review)
            case ("v1", "accounts", account):
                return self._get_account(request, account)
            case ("v1", "locations", location):
                return self._get_location(request, location)
        raise Refusal(error(404))

    def token_information(self, call: Call) -> Answer:
        """tokeninfo; the token in the query, the form or the header."""
        token = call.query.get("access_token") or call.form.get("access_token") or call.token
        if not self._tokens.is_good(token):
            raise Refusal(oauth_error("invalid_token", "Invalid Value"))
        return Answer(200, encode(self._tokens.information(token)))

    def refresh(self, call: Call) -> Answer:
        """The token endpoint, for grant_type=refresh_token only (RFC 6749, 5.2 and 6)."""
        if call.method != "POST":
            raise Refusal(error(404))
        if call.form.get("grant_type") != "refresh_token":
            raise Refusal(oauth_error("unsupported_grant_type", "Invalid grant_type"))
        secret = call.form.get("client_secret", "")
        if not call.form.get("client_id") or not secret or secret.startswith("invalid"):
            raise Refusal(oauth_error("invalid_client", "The OAuth client was not found.", 401))
        fresh = self._tokens.refresh(call.token)
        if fresh is None:
            raise Refusal(oauth_error(*REVOKED))
        return Answer(200, encode(fresh))

    def _list_accounts(self, request: _Request) -> Answer:
        call, catalogue = request.call, request.catalogue
        kind = _account_filter(call)
        numbers: Iterable[int] = range(catalogue.accounts)
        if kind:
            numbers = [number for number in numbers if catalogue.account_type(number) == kind]
        parent = call.query.get("parentAccount")
        if parent:
            number = _account(catalogue, parent.removeprefix("accounts/"))
            if catalogue.account_type(number) not in _PARENTS:
                raise Refusal(error(400))
            numbers = []  # this world's groups are all shared with the user directly
        numbers = list(numbers)
        window = _window(request, len(numbers), _ACCOUNTS, f"accounts {kind} {parent}")
        shown = [directory.account(catalogue, at) for at in numbers[window.offset : window.offset + window.size]]
        return self._list(call, "accounts", shown, window.next_token, fields.ACCOUNTS_SCHEMA)

    def _list_locations(self, request: _Request, identifier: str) -> Answer:
        call, catalogue = request.call, request.catalogue
        mask = _read_mask(call)
        if "filter" in call.query or "orderBy" in call.query:
            raise Refusal(error(400, "The simulator neither filters nor orders locations."))
        if identifier == "-":
            count = catalogue.distinct_locations
        else:
            account = _account(catalogue, identifier)
            count = catalogue.locations
        window = _window(request, count, _LOCATIONS, f"locations {identifier}")
        positions = range(window.offset, min(count, window.offset + window.size))
        numbers = positions if identifier == "-" else [catalogue.location_at(account, at) for at in positions]
        shown = [fields.select(directory.location(catalogue, at), mask) for at in numbers]
        return self._list(call, "locations", shown, window.next_token, fields.LOCATIONS_SCHEMA)

    def _list_reviews(self, request: _Request, account: str, location: str) -> Answer:
        call, catalogue = request.call, request.catalogue
        account_number, number = self._place(catalogue, account, location)
        order = _ORDERS.get(call.query.get("orderBy", ""))
        if order is None:
            raise Refusal(error(400))
        if not catalogue.is_verified(number) and request.faults.unverified_status != 200:
            raise Refusal(error(request.faults.unverified_status))
        change = request.plan.first(Mutate)
        if change is not None:
            self._changes.mutate(catalogue, number, change.insert, change.edit, change.delete)
        count = self._changes.count(catalogue, number)
        window = _window(request, count, _REVIEWS, f"{account} {location} {order} {catalogue.seed}")
        page = Page(
            catalogue,
            account_number,
            number,
            self._changes.version(catalogue, number),
            order,
            window.size,
            window.offset,
            window.next_token,
            _fields_text(call, fields.REVIEWS_SCHEMA),
            _is_pretty(call),
            call.wants_gzip,
        )
        return Answer(200, self._reviews.page(page, request.plan.first(Distort)), call.wants_gzip)

    def _get_review(self, request: _Request, account: str, location: str, review: str) -> Answer:
        catalogue = request.catalogue
        account_number, number = self._place(catalogue, account, location)
        found = catalogue.review_id_codec.decode(review)
        entry = self._changes.find(catalogue, number, found[1]) if found and found[0] == number else None
        if entry is None:
            raise Refusal(error(404))
        found_review = self._reviews.review(catalogue, account_number, number, entry)
        return _object(request.call, found_review, fields.REVIEW_SCHEMA)

    def _get_account(self, request: _Request, account: str) -> Answer:
        catalogue = request.catalogue
        value = directory.account(catalogue, _account(catalogue, account))
        return _object(request.call, value, fields.ACCOUNT_SCHEMA)

    def _get_location(self, request: _Request, location: str) -> Answer:
        call, catalogue = request.call, request.catalogue
        number = catalogue.location_number(location)
        mask = _read_mask(call)
        if number is None:
            raise Refusal(error(404))
        return _object(call, fields.select(directory.location(catalogue, number), mask), fields.LOCATION_SCHEMA)

    @staticmethod
    def _place(catalogue: Catalogue, account: str, location: str) -> tuple[int, int]:
        """The numbers behind a v4 parent; 404 without access, as for a location of another account."""
        account_number = _account(catalogue, account)
        number = catalogue.location_number(location)
        if number is None or not catalogue.lists(account_number, number):
            raise Refusal(error(404))
        return account_number, number

    @staticmethod
    def _list(call: Call, name: str, items: list[Any], next_token: str, schema: Schema) -> Answer:
        value: dict[str, Any] = {}
        if items:
            value[name] = items
        if next_token:
            value["nextPageToken"] = next_token
        return _object(call, value, schema)


def _window(request: _Request, count: int, limits: _Limits, what: str) -> _Window:
    """Where a page starts and ends. Raises Refusal for a page token of another request."""
    call, plan = request.call, request.plan
    size = _page_size(call, limits)
    binding = f"{what} {size}"
    try:
        here = pages.decode(call.page_token, binding)
    except PageTokenError:
        raise Refusal(error(400)) from None
    call.page = here.offset // size
    if plan.first(LoopingPageToken):
        return _Window(here.offset, size, call.page_token or pages.encode(here, binding))
    end = here.offset + size
    if end >= count:
        return _Window(here.offset, size, "")
    overlap = plan.first(Overlap)
    following = Position(max(0, end - overlap.count), here.copy + 1) if overlap else Position(end)
    return _Window(here.offset, size, pages.encode(following, binding))


def _object(call: Call, value: Any, schema: Schema) -> Answer:
    text = _fields_text(call, schema)
    if text:
        value = fields.select(value, fields.parse(text, schema))
    return Answer(200, finish(to_json(value, _is_pretty(call)), call.wants_gzip), call.wants_gzip)


def _fields_text(call: Call, schema: Schema) -> str:
    """The `fields` parameter once it is known to be good."""
    text = call.query.get("fields", "")
    if text:
        try:
            fields.parse(text, schema)
        except MaskError:
            raise Refusal(error(400, f"Invalid field selection {text}")) from None
    return text


def _read_mask(call: Call) -> Mask:
    text = call.query.get("readMask", "")
    try:
        if not text:
            raise MaskError("readMask is required")
        return fields.parse_paths(text, fields.LOCATION_SCHEMA)
    except MaskError:
        violation = {"field": "read_mask", "description": "Invalid field mask provided"}
        detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
        raise Refusal(error(400, details=[detail])) from None


def _account(catalogue: Catalogue, identifier: str) -> int:
    number = catalogue.account_number(identifier)
    if number is None:
        raise Refusal(error(404))
    return number


def _account_filter(call: Call) -> str:
    """The type in `filter=type=USER_GROUP`, the only filter there is."""
    name, _, kind = call.query.get("filter", "").partition("=")
    if name and (name.strip() != "type" or not kind):
        raise Refusal(error(400))
    return kind.strip()


def _page_size(call: Call, limits: _Limits) -> int:
    text = call.query.get("pageSize", "0")
    if not text.isdecimal():
        raise Refusal(error(400))
    return min(int(text) or limits.usual, limits.most)


def _is_pretty(call: Call) -> bool:
    return call.query.get("prettyPrint", "true") != "false"
