"""The table of Google's errors, on bodies that Google or its users have published and on hostile ones."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.google.errors import ErrorKind, GoogleAPIError, Refusal, redact, refusal_error

NOW = 1_700_000_000.0
TOKEN = "ya29.a0AfB_secret-secret"


def refused(
    status: int, body: Any = None, *, retry_after: str | None = None, page_token: bool = False
) -> GoogleAPIError:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return refusal_error(Refusal(status, data, retry_after, TOKEN, page_token), NOW)


def rpc(code: int, status: str, message: str = "", *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


def info(reason: str, **metadata: str) -> dict[str, Any]:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "metadata": metadata}


def legacy(code: int, reason: str) -> dict[str, Any]:
    return {"error": {"code": code, "errors": [{"domain": "global", "reason": reason, "message": "m"}]}}


T, W, R = ErrorKind.TRANSIENT, ErrorKind.THROTTLED, ErrorKind.REFUSED
A, E, U = ErrorKind.NOT_APPROVED, ErrorKind.NOT_ENTITLED, ErrorKind.UNAUTHENTICATED
RATE = "RATE_LIMIT_EXCEEDED"
OFF = "Google My Business API has not been used in project 1 before or it is disabled. Enable it by visiting"
SCOPES = "Request had insufficient authentication scopes."
QUOTA_ZERO = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaValue": "0"}]}

TABLE: list[tuple[int, Any, ErrorKind, str]] = [
    (400, rpc(400, "INVALID_ARGUMENT", "Request contains an invalid argument."), R, "INVALID_ARGUMENT"),
    (400, rpc(400, "FAILED_PRECONDITION", "", info("UNVERIFIED_LOCATION")), R, "UNVERIFIED_LOCATION"),
    (400, {"error": "invalid_token", "error_description": "Invalid Value"}, U, "unauthenticated"),
    (400, legacy(400, "quotaExceeded"), W, "rate_limited"),
    (400, None, R, "http_400"),
    (401, rpc(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."), U, "unauthenticated"),
    (401, b"<html>", U, "unauthenticated"),
    (403, rpc(403, "PERMISSION_DENIED", "The caller does not have permission"), R, "PERMISSION_DENIED"),
    (403, rpc(403, "PERMISSION_DENIED", OFF, info("SERVICE_DISABLED")), E, "SERVICE_DISABLED"),
    (403, rpc(403, "PERMISSION_DENIED", OFF), E, "SERVICE_DISABLED"),
    (403, legacy(403, "accessNotConfigured"), E, "accessNotConfigured"),
    (403, rpc(403, "PERMISSION_DENIED", "", info("CONSUMER_SUSPENDED")), E, "CONSUMER_SUSPENDED"),
    (403, rpc(403, "PERMISSION_DENIED", "", info("CONSUMER_INVALID")), E, "CONSUMER_INVALID"),
    (403, rpc(403, "PERMISSION_DENIED", "", info("BILLING_DISABLED")), E, "BILLING_DISABLED"),
    (403, rpc(403, "X", SCOPES, info("ACCESS_TOKEN_SCOPE_INSUFFICIENT")), E, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
    (403, rpc(403, "PERMISSION_DENIED", SCOPES), E, "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
    (403, legacy(403, "insufficientPermissions"), E, "insufficientPermissions"),
    (403, legacy(403, "rateLimitExceeded"), W, "rate_limited"),
    (403, legacy(403, "userRateLimitExceeded"), W, "rate_limited"),
    (403, rpc(403, "PERMISSION_DENIED", "", info(RATE)), W, "rate_limited"),
    (403, rpc(403, "RESOURCE_EXHAUSTED"), W, "rate_limited"),
    (403, legacy(403, "forbidden"), R, "forbidden"),
    (404, rpc(404, "NOT_FOUND", "Requested entity was not found."), R, "NOT_FOUND"),
    (404, legacy(404, "notFound"), R, "notFound"),
    (404, b"<!DOCTYPE html>", R, "http_404"),
    (408, None, T, "http_408"),
    (409, rpc(409, "ABORTED"), T, "http_409"),
    (409, rpc(409, "ALREADY_EXISTS"), R, "ALREADY_EXISTS"),
    (410, None, R, "http_410"),
    (429, rpc(429, "RESOURCE_EXHAUSTED", "Quota exceeded", info(RATE, quota_limit_value="300")), W, "rate_limited"),
    (429, rpc(429, "RESOURCE_EXHAUSTED", "Quota exceeded", info(RATE, quota_limit_value="0")), A, "not_approved"),
    (429, rpc(429, "RESOURCE_EXHAUSTED", "Quota exceeded", QUOTA_ZERO), A, "not_approved"),
    (429, None, W, "rate_limited"),
    (499, rpc(499, "CANCELLED"), T, "http_499"),
    (500, rpc(500, "INTERNAL", "Internal error encountered."), T, "http_500"),
    (501, rpc(501, "UNIMPLEMENTED"), R, "UNIMPLEMENTED"),
    (502, b"<html>502", T, "http_502"),
    (503, rpc(503, "UNAVAILABLE"), T, "http_503"),
    (503, rpc(503, "UNAVAILABLE", "", info(RATE)), W, "rate_limited"),
    (504, None, T, "http_504"),
    (599, None, T, "http_599"),
    (301, None, T, "http_301"),
    (304, None, T, "http_304"),
]


@pytest.mark.parametrize(("status", "body", "kind", "reason"), TABLE)
def test_the_table(status: int, body: Any, kind: ErrorKind, reason: str) -> None:
    error = refused(status, body)
    assert (error.kind, error.reason, error.status) == (kind, reason, status)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (rpc(400, "INVALID_ARGUMENT", "Request contains an invalid argument."), ErrorKind.PAGE_TOKEN_REFUSED),
        (rpc(400, "INVALID_ARGUMENT", "", info("INVALID_PAGE_TOKEN")), ErrorKind.PAGE_TOKEN_REFUSED),
        (legacy(400, "badRequest"), ErrorKind.PAGE_TOKEN_REFUSED),
        (None, ErrorKind.PAGE_TOKEN_REFUSED),
        (rpc(400, "INVALID_ARGUMENT", "", info("UNVERIFIED_LOCATION")), R),
        (rpc(400, "INVALID_ARGUMENT", "", info("API_KEY_INVALID")), R),
    ],
)
def test_a_400_while_paging_is_about_the_page_token_unless_a_reason_says_otherwise(body: Any, kind: ErrorKind) -> None:
    assert refused(400, body, page_token=True).kind is kind


@pytest.mark.parametrize("status", [401, 403, 404, 429, 503])
def test_only_a_400_speaks_of_the_page_token(status: int) -> None:
    assert refused(status, page_token=True).kind is refused(status, page_token=False).kind


@pytest.mark.parametrize(
    ("status", "body", "advice"),
    [
        (403, rpc(403, "PERMISSION_DENIED", OFF, info("SERVICE_DISABLED")), "Enable this API"),
        (403, rpc(403, "PERMISSION_DENIED", "", info("CONSUMER_SUSPENDED")), "its owner must settle that"),
        (403, rpc(403, "PERMISSION_DENIED", SCOPES), "auth/business.manage"),
        (403, rpc(403, "PERMISSION_DENIED"), "owner or manager"),
        (429, rpc(429, "RESOURCE_EXHAUSTED", "", QUOTA_ZERO), "apply for access"),
        (401, None, "send a new one"),
    ],
)
def test_a_permanent_error_says_what_to_do(status: int, body: Any, advice: str) -> None:
    assert advice in refused(status, body).message


def test_the_message_quotes_google_on_one_line_and_is_bounded() -> None:
    message = refused(
        404, rpc(404, "NOT_FOUND", "Requested\r\n\tentity \x1b[31mwas\u2028not \x00" + "found " * 500)
    ).message
    assert message.startswith('Google answered 404: "Requested entity [31mwas not found found')
    assert message.isprintable()
    assert len(message) <= 600


def retry_info(delay: object) -> dict[str, Any]:
    return rpc(429, "X", "", {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay})


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [
        ("3s", 3.0),
        ("0.5s", 0.5),
        ("0s", 0.0),
        ({"seconds": 2, "nanos": 500_000_000}, 2.5),
        ({"seconds": "2"}, 2.0),
        ({"nanos": 1_000_000}, 0.001),
        ("-3s", None),
        ({"seconds": -1}, None),
        ({"seconds": "x"}, None),
        ({}, None),
        ("3", None),
        ("infs", None),
        ("nans", None),
        (f"{'9' * 400}s", None),
        (3, None),
        (None, None),
        ([], None),
    ],
)
def test_a_retry_delay_in_the_body_is_followed_when_it_makes_sense(delay: object, seconds: float | None) -> None:
    assert refused(429, retry_info(delay)).retry_after == seconds


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("1.5", 1.5),
        ("86400000", 86_400_000.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0),
        ("Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
        ("Tue Nov 14 22:14:20 2023", 60.0),
        ("Tue, 14 Nov 2023 23:14:20 +0100", 60.0),
        ("Mon, 13 Nov 2023 22:14:20 GMT", 0.0),
        ("-5", None),
        ("", None),
        ("soon", None),
        ("9" * 400, None),
        ("Tue, 99 Nov 2023 22:14:20 GMT", None),
        ("١٢", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str, seconds: float | None) -> None:
    assert refused(429, retry_after=header).retry_after == seconds


def test_the_longer_of_two_waits_counts_and_any_error_may_ask_for_one() -> None:
    assert refused(429, retry_info("9s"), retry_after="3").retry_after == 9.0
    assert refused(503, retry_info("-9s"), retry_after="3").retry_after == 3.0


@pytest.mark.parametrize(
    "echo",
    [
        TOKEN,
        TOKEN[:16],
        f"Bearer {TOKEN}",
        f"access_token={TOKEN}&x",
        "Bearer some-other-token-of-somebody",
        "ya29.other",
    ],
)
def test_no_token_is_quoted(echo: str) -> None:
    error = refused(400, rpc(400, echo, f"Invalid: {echo}", info(echo)))
    said = error.message + error.reason
    assert "[token]" in said
    assert "secret" not in said
    assert "other" not in said


def test_a_token_given_as_a_reason_is_not_the_reason() -> None:
    body = json.dumps(rpc(404, "SECRET_SECRET", "", info("SECRET_SECRET"))).encode()
    assert refusal_error(Refusal(404, body, None, "SECRET_SECRET", False), NOW).reason == "http_404"


def test_a_token_that_needs_quoting_in_a_url_is_found_there_too() -> None:
    assert redact("at ?access_token=1%2F%2F0gAbCdEfGhIj%2Fsecret now", "1//0gAbCdEfGhIj/secret") == (
        "at ?access_token=[token] now"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "details", "errors", "reason", "message", "status", "metadata", "violations"]
                + ["quotaValue", "quota_limit_value", "retryDelay", "seconds", "nanos", "error_description"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=25,
)


@given(st.integers(100, 999), JSON, st.none() | st.text(max_size=40), st.booleans())
def test_any_json_becomes_an_error_of_ours(status: int, body: object, retry_after: str | None, paging: bool) -> None:
    error = refused(status, {"error": body}, retry_after=retry_after, page_token=paging)
    assert error.retry_after is None or error.retry_after >= 0
    assert 0 < len(error.message) <= 600
    assert error.reason.isascii()


@given(st.integers(100, 999), st.binary(max_size=200))
def test_any_bytes_become_an_error_of_ours(status: int, body: bytes) -> None:
    assert refused(status, body).status == status


def test_a_body_nested_too_deeply_is_no_more_than_its_status() -> None:
    assert refused(404, b'{"error":' + b"[" * 60_000).reason == "http_404"
    assert refused(429, b'{"error":' * 9_000 + b"1" + b"}" * 9_000).kind is W
