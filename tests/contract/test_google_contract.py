"""Google's own Python client, built from Google's documents, walks the simulator and finds exactly its truth."""

from collections.abc import Iterator
from typing import Any

import google_auth_httplib2  # type: ignore[import-untyped] # it ships no types
import httplib2
import pytest
from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials
from googleapiclient.discovery import Resource, build_from_document
from googleapiclient.errors import HttpError

from app.simulator import Catalogue
from tests.contract.google import Schemas, document
from tests.support.simulator import control, simulator_process

ACCOUNTS, LOCATIONS, REVIEWS = (
    "mybusinessaccountmanagement.v1",
    "mybusinessbusinessinformation.v1",
    "mybusiness.v4.reviews-reconstructed",
)
WORLD = Catalogue(seed=11, accounts=23, locations=12, reviews=70, spread=1.0, shared_locations=3, unverified=0.1)
WHOLE_LOCATION = ",".join(document(LOCATIONS)["schemas"]["Location"]["properties"])
TOKEN = "ya29.google-client"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    options = ("--seed", "11", "--accounts", "23", "--locations", "12", "--reviews", "70", "--spread", "1.0")
    with simulator_process(*options, "--shared-locations", "3", "--unverified", "0.1") as address:
        yield address


def credentials_of(url: str, token: str | None, refresh_token: str) -> Credentials:
    client = {"client_id": "client", "client_secret": "secret"}
    return Credentials(token, refresh_token, token_uri=f"{url}/token", **client)  # type: ignore[no-untyped-call] # theirs


@pytest.fixture
def credentials(url: str) -> Credentials:
    return credentials_of(url, TOKEN, "1//refresh")


class Google:
    """The three APIs, each through Google's client."""

    def __init__(self, url: str, credentials: Credentials) -> None:
        self._url = url
        self._credentials = credentials
        self._services: dict[str, Resource] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._services:
            described = document(name) | {"rootUrl": f"{self._url}/", "baseUrl": f"{self._url}/"}
            plain = httplib2.Http(proxy_info=None)
            http = google_auth_httplib2.AuthorizedHttp(self._credentials, http=plain)
            self._services[name] = build_from_document(described, http=http)
        return self._services[name]

    def close(self) -> None:
        for service in self._services.values():
            service.close()


@pytest.fixture
def google_client(url: str, credentials: Credentials) -> Iterator[Google]:
    client = Google(url, credentials)
    yield client
    client.close()


def pages(collection: Any, **arguments: Any) -> Iterator[dict[str, Any]]:
    """All pages of a list method, by Google's own `list` and `list_next`."""
    request = collection.list(**arguments)
    while request is not None:
        page = request.execute()
        yield page
        request = collection.list_next(request, page)


def test_the_walk_of_googles_client_is_the_truth(google_client: Google, url: str) -> None:
    accounts = [item for page in pages(google_client[ACCOUNTS].accounts()) for item in page["accounts"]]
    assert [account["name"] for account in accounts] == list(WORLD.account_names())

    listed: dict[str, list[str]] = {}
    for account in listed_names(accounts):
        found = pages(google_client[LOCATIONS].accounts().locations(), parent=account, readMask="name", pageSize=5)
        listed[account] = [location["name"] for page in found for location in page["locations"]]
        assert listed[account] == list(WORLD.location_names(account))

    walked: dict[str, list[str]] = {}
    for account, location in ((account, name) for account, names in listed.items() for name in names):
        if location not in walked:
            found = pages(google_client[REVIEWS].accounts().locations().reviews(), parent=f"{account}/{location}")
            walked[location] = [review["reviewId"] for page in found for review in page.get("reviews", [])]
    assert walked == {name: list(WORLD.review_ids(name)) for name in WORLD.distinct_location_names()}
    assert sum(map(len, walked.values())) == control(url, "GET", "truth?limit=1")["reviews"] == WORLD.total_reviews()


def listed_names(items: list[dict[str, Any]]) -> list[str]:
    return [item["name"] for item in items]


def test_accounts_are_what_their_schema_says(google_client: Google) -> None:
    schemas = Schemas(ACCOUNTS)
    for page in pages(google_client[ACCOUNTS].accounts(), pageSize=20):
        assert schemas.violations(page, "ListAccountsResponse") == []
    one = google_client[ACCOUNTS].accounts().get(name=WORLD.account_name(2)).execute()
    assert schemas.violations(one, "Account") == []


def test_locations_are_what_their_schema_says_under_a_mask_of_every_field(google_client: Google) -> None:
    schemas = Schemas(LOCATIONS)
    collection = google_client[LOCATIONS].accounts().locations()
    seen: set[str] = set()
    for page in pages(collection, parent="accounts/-", readMask=WHOLE_LOCATION, pageSize=100):
        assert schemas.violations(page, "ListLocationsResponse") == []
        seen.update(name for location in page["locations"] for name in location)
    assert {"storefrontAddress", "serviceArea", "metadata", "openInfo", "storeCode"} <= seen
    one = google_client[LOCATIONS].locations().get(name=WORLD.location_name(0), readMask=WHOLE_LOCATION).execute()
    assert schemas.violations(one, "Location") == []


def test_reviews_are_what_their_schema_says(google_client: Google) -> None:
    schemas = Schemas(REVIEWS)
    collection = google_client[REVIEWS].accounts().locations().reviews()
    seen: set[str] = set()
    for location in list(WORLD.location_names(WORLD.account_name(0))):
        for page in pages(collection, parent=f"{WORLD.account_name(0)}/{location}", orderBy="rating desc"):
            assert schemas.violations(page, "ListReviewsResponse") == []
            seen.update(name for review in page.get("reviews", []) for name in review)
    assert seen == set(document(REVIEWS)["schemas"]["Review"]["properties"])


def test_one_review_is_read_by_its_name(google_client: Google) -> None:
    collection = google_client[REVIEWS].accounts().locations().reviews()
    parent = f"{WORLD.account_name(0)}/{WORLD.location_name(0)}"
    [first, *_] = collection.list(parent=parent).execute()["reviews"]
    assert collection.get(name=first["name"]).execute() == first


def test_partial_responses_go_through_googles_client(google_client: Google) -> None:
    collection = google_client[REVIEWS].accounts().locations().reviews()
    parent = f"{WORLD.account_name(0)}/{WORLD.location_name(0)}"
    page = collection.list(parent=parent, fields="reviews(reviewId,starRating),nextPageToken", prettyPrint=False)
    assert {name for review in page.execute()["reviews"] for name in review} == {"reviewId", "starRating"}


def test_googles_client_understands_the_errors(google_client: Google) -> None:
    collection = google_client[REVIEWS].accounts().locations().reviews()
    with pytest.raises(HttpError) as missing:
        collection.list(parent=f"{WORLD.account_name(0)}/locations/1").execute()
    assert (missing.value.resp.status, missing.value.reason) == (404, "Requested entity was not found.")
    with pytest.raises(HttpError) as refused:
        google_client[LOCATIONS].accounts().locations().list(parent="accounts/-", readMask="nope").execute()
    assert (refused.value.resp.status, refused.value.reason) == (400, "Request contains an invalid argument.")


def test_googles_client_refreshes_a_token_that_expired(url: str, credentials: Credentials) -> None:
    control(url, "POST", "faults", {"fault": "expired_token", "times": 1})
    client = Google(url, credentials)
    try:
        assert client[ACCOUNTS].accounts().list().execute()["accounts"]
    finally:
        client.close()
        control(url, "DELETE", "faults")
    assert credentials.token != TOKEN


def test_a_revoked_refresh_token_is_an_error_of_googles_client(url: str) -> None:
    http = httplib2.Http(proxy_info=None)
    with pytest.raises(RefreshError, match="invalid_grant"):
        credentials_of(url, None, "invalid").refresh(google_auth_httplib2.Request(http))  # type: ignore[no-untyped-call] # theirs
    http.close()


def test_googles_client_is_sent_gzip_because_its_user_agent_says_so(google_client: Google) -> None:
    request = google_client[ACCOUNTS].accounts().list()
    assert "gzip" in request.headers["user-agent"]
    response, _ = request.http.request(request.uri, headers=request.headers)
    assert response["-content-encoding"] == "gzip"


def test_the_check_of_schemas_can_fail() -> None:
    schemas = Schemas(REVIEWS)
    page = {
        "reviews": [{"reviewId": 5, "starRating": "SIX", "updateTime": "yesterday", "surprise": 1}],
        "totalReviewCount": True,
    }
    assert len(schemas.violations(page, "ListReviewsResponse")) == 5
