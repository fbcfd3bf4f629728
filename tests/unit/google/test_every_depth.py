"""JSON nested to every depth around the one where Python gives up, and every answer cut at every byte."""

import gzip
import json
from collections.abc import Callable
from functools import partial

import pytest

from app.google.body import gunzip
from app.google.errors import ErrorKind, GoogleAPIError, Refusal, refusal_error
from app.google.listing import decode_accounts, decode_fresh_token, decode_locations, decode_token_info
from app.google.wire import decode_reviews
from tests.unit.google.calling import PAGE, TOKEN
from tests.unit.google.server import outcome

DEPTHS = (*range(1, 5), *range(820, 1_010))
"""Python's limit is 1,000, and the test itself stands at a depth of about 60."""

READERS: dict[str, Callable[[bytes], object]] = {
    "accounts": decode_accounts,
    "locations": decode_locations,
    "reviews": partial(decode_reviews, first_page=True),
    "tokeninfo": decode_token_info,
    "token": decode_fresh_token,
}

PLACES = {
    "accounts": b'{"accounts":[{"name":"accounts/1","accountName":@}]}',
    "locations": b'{"locations":[{"name":"locations/1","metadata":{"placeId":@}}]}',
    "reviews": b'{"reviews":[{"reviewId":"r","comment":@}]}',
    "reviews, unknown": b'{"reviews":[{"reviewId":"r","new":@}],"totalReviewCount":1}',
    "reviews, careful": b'{"reviews":[{"reviewId":"\\ud800","new":@}],"totalReviewCount":1}',
    "reviews, beside": b'{"new":@,"reviews":[{"reviewId":"\\u0000"}],"totalReviewCount":1}',
    "reviews, a page token": b'{"reviews":[],"nextPageToken":@}',
    "tokeninfo": b'{"aud":"1","expires_in":@}',
    "token": b'{"access_token":"a","expires_in":@}',
}

ERROR_PLACES = {
    "the limit": b'{"error":{"details":[{"metadata":{"quota_limit_value":@}}]}}',
    "a quota": b'{"error":{"details":[{"violations":[{"quotaValue":@}]}]}}',
    "seconds": b'{"error":{"details":[{"retryDelay":{"seconds":@,"nanos":@}}]}}',
    "a reason": b'{"error":{"errors":[{"reason":@}],"status":@,"message":@}}',
    "the error": b'[{"error":@,"error_description":@}]',
}


def nested(place: bytes, depth: int, opening: bytes, closing: bytes) -> bytes:
    return place.replace(b"@", opening * depth + b"0" + closing * depth)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
@pytest.mark.parametrize(("name", "place"), PLACES.items(), ids=PLACES)
def test_a_page_of_any_depth_is_read_or_refused(name: str, place: bytes, opening: bytes, closing: bytes) -> None:
    read = READERS[name.partition(",")[0]]
    refused = 0
    for depth in DEPTHS:
        found = outcome(read, nested(place, depth, opening, closing))
        if isinstance(found, GoogleAPIError):
            assert (found.kind, found.reason) == (ErrorKind.TRANSIENT, "invalid_json")
            refused += 1
    assert refused, "the depth where it ends was met"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
@pytest.mark.parametrize("place", ERROR_PLACES.values(), ids=ERROR_PLACES)
def test_an_error_of_any_depth_is_known_by_its_status(place: bytes, opening: bytes, closing: bytes) -> None:
    for depth in DEPTHS:
        body = nested(place, depth, opening, closing)
        error = refusal_error(Refusal(429, body, None, TOKEN, False), now=0.0)
        assert (error.kind, error.reason) == (ErrorKind.THROTTLED, "rate_limited")


WHOLE = {
    "accounts": b'{"accounts":[{"name":"accounts/1","accountName":"\xc3\xa9"}],"nextPageToken":"p2"}',
    "locations": b'{"locations":[{"name":"locations/1","title":"x","metadata":{"hasVoiceOfMerchant":true}}]}',
    "reviews": PAGE,
    "tokeninfo": b'{"aud":"123-a.apps.googleusercontent.com","expires_in":"3599"}',
    "token": b'{"access_token":"ya29.x","expires_in":3599}',
}


@pytest.mark.parametrize(("name", "whole"), WHOLE.items(), ids=WHOLE)
def test_a_page_cut_at_any_byte_is_not_taken_for_a_shorter_one(name: str, whole: bytes) -> None:
    assert not isinstance(outcome(READERS[name], whole), GoogleAPIError)
    for length in range(len(whole)):
        found = outcome(READERS[name], whole[:length])
        assert isinstance(found, GoogleAPIError), whole[:length]
        assert found.kind is ErrorKind.TRANSIENT
        assert found.reason in ("cut", "invalid_json")


@pytest.mark.parametrize("whole", WHOLE.values(), ids=WHOLE)
def test_a_packed_page_cut_at_any_byte_is_refused(whole: bytes) -> None:
    packed = gzip.compress(whole)
    assert gunzip(packed, 2**20) == whole
    for length in range(len(packed)):
        found = outcome(partial(gunzip, limit=2**20), packed[:length])
        assert isinstance(found, GoogleAPIError)
        assert found.reason == "cut"


def test_an_error_cut_at_any_byte_is_known_by_its_status() -> None:
    whole = json.dumps({"error": {"code": 503, "status": "UNAVAILABLE", "message": "é", "details": []}}).encode()
    for length in range(len(whole) + 1):
        error = refusal_error(Refusal(503, whole[:length], "7", TOKEN, False), now=0.0)
        assert (error.kind, error.reason, error.retry_after) == (ErrorKind.TRANSIENT, "http_503", 7.0)
