"""Hosts and paths."""

import pytest

from app.google.endpoints import Endpoints, is_account
from app.google.errors import GoogleAPIError


def test_each_api_has_its_own_host() -> None:
    google = Endpoints.google()
    assert google.accounts_url() == "https://mybusinessaccountmanagement.googleapis.com/v1/accounts"
    assert google.locations_url("accounts/1") == (
        "https://mybusinessbusinessinformation.googleapis.com/v1/accounts/1/locations"
    )
    assert google.reviews_url("accounts/1", "locations/2") == (
        "https://mybusiness.googleapis.com/v4/accounts/1/locations/2/reviews"
    )
    assert google.token_info_url() == "https://oauth2.googleapis.com/tokeninfo"
    assert len(google.bases()) == 4


@pytest.mark.parametrize("base", ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", " http://127.0.0.1:8080 "])
def test_one_base_replaces_every_host(base: str) -> None:
    local = Endpoints.at(base)
    assert local.bases() == ["http://127.0.0.1:8080"]
    assert local.accounts_url() == "http://127.0.0.1:8080/v1/accounts"


@pytest.mark.parametrize("base", ["http://[::1]:80", "https://proxy.example/google"])
def test_other_plain_urls_are_bases_too(base: str) -> None:
    assert Endpoints.at(base).bases() == [base]


@pytest.mark.parametrize(
    "base",
    ["", "127.0.0.1:8080", "ftp://h", "http://", "http://user:pass@h", "http://h?x=1", "http://h#f", "http://h:99999"]
    + ["http://h:port", "http://h/a b", "http://[::1", "file:///etc/passwd"],
)
def test_what_is_no_plain_url_is_refused_with_the_setting_to_mend(base: str) -> None:
    with pytest.raises(ValueError, match="GOOGLE_API_BASE_URL"):
        Endpoints.at(base)


def test_a_name_is_quoted_and_stays_one_segment() -> None:
    url = Endpoints.google().locations_url("accounts/a:b%2f;ü")
    assert url.endswith("/v1/accounts/a%3Ab%252f%3B%C3%BC/locations")


@pytest.mark.parametrize("name", ["accounts/..", "accounts/.", "accounts/1/2", "accounts/1?x", "locations/1", "x", ""])
def test_a_name_that_leaves_its_segment_builds_no_url(name: str) -> None:
    assert not is_account(name)
    with pytest.raises(GoogleAPIError):
        Endpoints.google().locations_url(name)


@pytest.mark.parametrize("name", ["accounts/...", "accounts/1.", "accounts/-", "accounts/123456789012345678901"])
def test_unusual_ids_are_names(name: str) -> None:
    assert is_account(name)
