"""Accounts, locations and tokeninfo."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.google.errors import ErrorKind, GoogleAPIError
from app.google.listing import decode_accounts, decode_fresh_token, decode_locations, decode_token_info
from app.google.pages import AccountsPage, LocationsPage, TokenInfo
from app.models.review import Account, Location
from tests.unit.google.server import outcome


def accounts(**document: object) -> AccountsPage:
    return decode_accounts(json.dumps(document).encode())


def locations(*items: object) -> LocationsPage:
    return decode_locations(json.dumps({"locations": items}).encode())


def test_accounts_with_and_without_a_title() -> None:
    items = [{"name": "accounts/1", "accountName": "Café", "type": "PERSONAL"}, {"name": "accounts/2"}]
    page = accounts(accounts=items, nextPageToken="n")
    assert page == AccountsPage([Account("accounts/1", "Café"), Account("accounts/2", "")], "n", odd=0)


def test_an_empty_object_is_an_empty_last_page() -> None:
    assert decode_accounts(b"{}") == AccountsPage([], None)
    assert decode_locations(b"{}") == LocationsPage([], None)


@pytest.mark.parametrize(
    "name",
    [None, 5, "", "accounts/", "locations/1", "accounts/1/locations/2", "accounts/..", "accounts/.", "accounts/a b"]
    + ["accounts/a?b", "accounts/a#b", "accounts/a\\b", "accounts/a\n", "accounts/a\x00", "accounts/\ud800"]
    + ["/accounts/1", "ACCOUNTS/1", "accounts/" + "9" * 201],
)
def test_an_account_no_path_can_be_built_for_is_counted_and_the_others_stay(name: object) -> None:
    page = accounts(accounts=[{"name": name}, {"name": "accounts/1"}])
    assert (page.accounts, page.odd) == ([Account("accounts/1", "")], 1)


@pytest.mark.parametrize("item", [None, 5, "locations/1", [], {}])
def test_an_item_that_is_no_location_is_counted_and_the_others_stay(item: object) -> None:
    page = locations(item, {"name": "locations/2"})
    assert ([location.name for location in page.locations], page.odd) == (["locations/2"], 1)


def test_a_whole_location() -> None:
    item = {
        "name": "locations/12345678901234567890",
        "title": "Shop",
        "storeCode": "S1",
        "metadata": {"placeId": "ChIJ", "hasVoiceOfMerchant": True, "mapsUri": "x"},
        "openInfo": {"status": "OPEN"},
    }
    assert locations(item).locations == [Location("locations/12345678901234567890", "Shop", "S1", "ChIJ", True)]


@pytest.mark.parametrize(
    ("item", "verified"),
    [
        ({"metadata": {"hasVoiceOfMerchant": True}}, True),
        ({"metadata": {"hasVoiceOfMerchant": False}}, False),
        ({"metadata": {"placeId": "x"}}, False),
        ({"metadata": {}}, False),
        ({"metadata": {"hasVoiceOfMerchant": "true"}}, None),
        ({"metadata": None}, None),
        ({"metadata": "x"}, None),
        ({}, None),
    ],
)
def test_a_missing_flag_means_not_verified_and_missing_metadata_means_unknown(
    item: dict[str, object], verified: bool | None
) -> None:
    assert locations({"name": "locations/1", **item}).locations[0].verified is verified


def test_odd_fields_of_a_location_are_left_empty() -> None:
    item = {"name": "locations/1", "title": 5, "storeCode": [], "metadata": {"placeId": 7}}
    assert locations(item).locations == [Location("locations/1", "", None, None, False)]


def test_texts_are_storable() -> None:
    assert decode_accounts(rb'{"accounts":[{"name":"accounts/1","accountName":"\ud83d\u0000"}]}').accounts == [
        Account("accounts/1", "\ufffd\ufffd")
    ]


@pytest.mark.parametrize("decode", [decode_accounts, decode_locations, decode_token_info, decode_fresh_token])
def test_an_error_in_the_place_of_an_answer_is_no_empty_one(decode: Callable[[bytes], object]) -> None:
    with pytest.raises(GoogleAPIError) as caught:
        decode(b'{"error":{"code":503,"status":"UNAVAILABLE"},"access_token":"a","aud":"1"}')
    assert (caught.value.kind, caught.value.reason) == (ErrorKind.TRANSIENT, "invalid_json")


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"accounts":5}', b'{"accounts":{}}', b'{"nextPageToken":1}'])
def test_what_is_no_page_is_a_broken_answer(body: bytes) -> None:
    with pytest.raises(GoogleAPIError) as caught:
        decode_accounts(body)
    assert caught.value.kind is ErrorKind.TRANSIENT


@pytest.mark.parametrize(
    ("document", "project"),
    [
        ({"aud": "123456789012-a1b2.apps.googleusercontent.com"}, "123456789012"),
        ({"aud": "123456789012.apps.googleusercontent.com"}, "123456789012"),
        ({"audience": "123456789012-a1b2.apps.googleusercontent.com"}, "123456789012"),
        ({"aud": "my-project"}, "my-project"),
        ({"aud": "123-x.apps.googleusercontent.com.example"}, "123-x.apps.googleusercontent.com.example"),
        ({"aud": ""}, None),
        ({"aud": 5}, None),
        ({}, None),
    ],
)
def test_two_clients_of_one_project_are_one_project(document: dict[str, object], project: str | None) -> None:
    assert decode_token_info(json.dumps(document).encode()).project == project


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(3599, 3599), ("3599", 3599), (0, 0), (-5, 0), ("-5", 0), (10**12, None), ("x", None), (1.5, None), (True, None)],
)
def test_the_life_of_a_token_may_be_a_text(value: object, seconds: int | None) -> None:
    body = json.dumps({"expires_in": value}).encode()
    assert decode_token_info(body) == TokenInfo(None, seconds)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.sampled_from(["accounts/1", "locations/1"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["accounts", "locations", "name", "title", "metadata", "placeId", "nextPageToken", "aud"])
            | st.sampled_from(["expires_in", "hasVoiceOfMerchant", "accountName"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("decode", [decode_accounts, decode_locations, decode_token_info])
@given(body=st.binary(max_size=40) | VALUE.map(lambda value: json.dumps(value).encode()))
def test_any_answer_is_a_page_or_a_broken_answer(decode: Callable[[bytes], object], body: bytes) -> None:
    read = outcome(decode, body)
    assert isinstance(read, tuple) or (isinstance(read, GoogleAPIError) and read.kind is ErrorKind.TRANSIENT)
