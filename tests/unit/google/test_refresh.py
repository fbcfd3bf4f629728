"""The token endpoint: what is sent, what is read of its answers, and what its errors mean."""

import asyncio
import json
from urllib.parse import parse_qs, quote, quote_plus

import pytest

from app.google.client import AskedAboutToken, GoogleAPIClient
from app.google.endpoints import Endpoints
from app.google.errors import ErrorKind, GoogleAPIError
from app.google.listing import decode_fresh_token
from app.google.pages import FreshToken
from app.models.grant import RefreshGrant, refresh_due_at
from tests.unit.google.calling import google
from tests.unit.google.server import answer, serving, silence

GRANT = RefreshGrant("1//0gAbC+dEf/gHi&jKl", "123456789012-abc.apps.googleusercontent.com", "GOCSPX-a+secret/of=ours")


def body(**members: object) -> bytes:
    return json.dumps(members).encode()


async def test_a_grant_travels_in_the_form_and_nowhere_else() -> None:
    given = body(access_token="ya29.fresh", expires_in=3599, scope="s", token_type="Bearer")
    async with google(answer(given)) as (client, server):
        assert await client.refresh(GRANT) == FreshToken("ya29.fresh", 3599, None)
    (request,) = server.requests
    assert request.line == "POST /token HTTP/1.1"
    assert parse_qs(request.body.decode(), strict_parsing=True) == {
        "grant_type": ["refresh_token"],
        "refresh_token": [GRANT.refresh_token],
        "client_id": [GRANT.client_id],
        "client_secret": [GRANT.client_secret],
    }
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("document", "read"),
    [
        ({"access_token": "ya29.a", "expires_in": "3599"}, FreshToken("ya29.a", 3599, None)),
        ({"access_token": "ya29.a"}, FreshToken("ya29.a", None, None)),
        ({"access_token": "ya29.a", "expires_in": True}, FreshToken("ya29.a", None, None)),
        ({"access_token": "ya29.a", "refresh_token": "1//new"}, FreshToken("ya29.a", None, "1//new")),
        ({"access_token": "ya29.a", "refresh_token": "not usable"}, FreshToken("ya29.a", None, None)),
    ],
)
def test_what_google_gives_is_read_with_care(document: dict[str, object], read: FreshToken) -> None:
    assert decode_fresh_token(json.dumps(document).encode()) == read


@pytest.mark.parametrize(
    "answered",
    [b"", b"{}", b"<html>", b"[]", body(access_token=""), body(access_token="with space"), body(access_token=7),
     body(access_token="x" * 8193)],
)  # fmt: skip
def test_an_answer_without_a_usable_token_may_be_better_the_next_time(answered: bytes) -> None:
    with pytest.raises(GoogleAPIError) as caught:
        decode_fresh_token(answered)
    assert caught.value.kind is ErrorKind.TRANSIENT


ERRORS = [
    (400, body(error="invalid_grant", error_description="Revoked."), ErrorKind.REFUSED, "invalid_grant"),
    (401, body(error="invalid_client", error_description="Unauthorized"), ErrorKind.REFUSED, "invalid_client"),
    (401, body(error="unauthorized_client"), ErrorKind.REFUSED, "unauthorized_client"),
    (400, body(error="temporarily_unavailable"), ErrorKind.TRANSIENT, "http_400"),
    (400, body(error="internal_failure"), ErrorKind.TRANSIENT, "http_400"),
    (503, b"<html>", ErrorKind.TRANSIENT, "http_503"),
    (500, b"", ErrorKind.TRANSIENT, "http_500"),
    (408, b"", ErrorKind.TRANSIENT, "http_408"),
    (429, b"", ErrorKind.THROTTLED, "rate_limited"),
    (302, b"", ErrorKind.TRANSIENT, "http_302"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "said", "kind", "reason"), ERRORS)
async def test_an_error_says_what_to_do(status: int, said: bytes, kind: ErrorKind, reason: str) -> None:
    async with google(answer(said, status)) as (client, _):
        with pytest.raises(GoogleAPIError) as caught:
            await client.refresh(GRANT)
    assert (caught.value.kind, caught.value.reason, caught.value.status) == (kind, reason, status)


def telling(told: list[tuple[str, str, bool]]) -> AskedAboutToken:
    def tell(asked: str, outcome: str, _seconds: float, /, *, throttled: bool) -> None:
        told.append((asked, outcome, throttled))

    return tell


async def test_calls_about_tokens_are_told_with_what_they_came_to() -> None:
    told: list[tuple[str, str, bool]] = []
    given = body(access_token="ya29.fresh", expires_in=3599)
    async with serving(answer(given), answer(b"", 503), answer(body(expires_in="60")), answer(b"", 429)) as server:
        client = GoogleAPIClient(Endpoints.at(server.url), asked_about_token=telling(told))
        async with client:
            await client.refresh(GRANT)
            with pytest.raises(GoogleAPIError):
                await client.refresh(GRANT)
            await client.token_info("ya29.fresh")
            with pytest.raises(GoogleAPIError):
                await client.token_info("ya29.fresh")
    assert told == [
        ("token", "ok", False),
        ("token", "http_503", False),
        ("tokeninfo", "ok", False),
        ("tokeninfo", "rate_limited", True),
    ]


async def test_a_call_about_a_token_that_nobody_waits_for_any_more_is_told() -> None:
    told: list[tuple[str, str, bool]] = []

    async with serving(silence) as server:
        client = GoogleAPIClient(Endpoints.at(server.url), asked_about_token=telling(told))
        async with client:
            asking = asyncio.create_task(client.refresh(GRANT))
            await server.arrived.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
    assert told == [("token", "cancelled", False)]


async def test_a_revoked_refresh_token_is_told_in_words() -> None:
    said = body(error="invalid_grant", error_description="Token has been expired or revoked.")
    async with google(answer(said, 400)) as (client, _):
        with pytest.raises(GoogleAPIError, match="the refresh token has expired or was revoked"):
            await client.refresh(GRANT)


@pytest.mark.parametrize("secret", [GRANT.refresh_token, GRANT.client_secret, GRANT.client_id])
async def test_an_error_holds_no_part_of_the_grant(secret: str) -> None:
    told = f"bad {secret} {quote(secret, safe='')} {secret[:14]}… {quote_plus(secret)}"
    async with google(answer(body(error=secret, error_description=told), 400)) as (client, _):
        with pytest.raises(GoogleAPIError) as caught:
            await client.refresh(GRANT)
    for text in (str(caught.value), repr(caught.value), caught.value.reason):
        assert secret[:12] not in text
    assert caught.value.__context__ is None


def test_a_grant_shows_nothing_of_itself() -> None:
    assert repr(GRANT) == "RefreshGrant()"
    assert RefreshGrant.from_text(GRANT.to_text()) == GRANT


@pytest.mark.parametrize(
    ("expires_at", "refreshed_at", "due_at"),
    [
        (None, None, float("inf")),
        (10_000.0, None, 9_775.0),  # 3 min 45 s before
        (10_000.0, 6_400.0, 9_775.0),
        (10_000.0, 9_900.0, 9_975.0),  # a short life is used for three quarters
    ],
)
def test_a_token_is_renewed_before_it_expires(
    expires_at: float | None, refreshed_at: float | None, due_at: float
) -> None:
    assert refresh_due_at(expires_at, refreshed_at) == due_at
