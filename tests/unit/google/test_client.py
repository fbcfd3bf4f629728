"""What the client sends, what it makes of the answers, and how it starts and stops."""

import asyncio
import gzip
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from app.google.client import GoogleAPIClient
from app.google.endpoints import Endpoints
from app.google.errors import ErrorKind, GoogleAPIError
from app.google.pages import TokenInfo
from tests.unit.google.calling import PAGE, TOKEN, failure, google
from tests.unit.google.server import Request, answer, hang_up, raw, serving, silence


def parameters(request: Request) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(request.target).query).items()}


async def test_accounts_are_asked_for_in_pages_of_20() -> None:
    async with google(answer(b'{"accounts": [{"name": "accounts/7"}]}')) as (client, server):
        page = await client.list_accounts(TOKEN, None)
    assert page.accounts[0].name == "accounts/7"
    assert server.requests[0].line.startswith("GET /v1/accounts?")
    assert parameters(server.requests[0]) == {
        "prettyPrint": "false",
        "pageSize": "20",
        "fields": "accounts,nextPageToken",
    }


async def test_locations_are_asked_for_in_pages_of_100_with_a_read_mask() -> None:
    async with google(answer(b'{"locations": [{"name": "locations/8"}]}')) as (client, server):
        page = await client.list_locations(TOKEN, "accounts/7", "next")
    assert page.locations[0].name == "locations/8"
    assert server.requests[0].line.startswith("GET /v1/accounts/7/locations?")
    assert parameters(server.requests[0]) == {
        "prettyPrint": "false",
        "pageSize": "100",
        "readMask": "name,title,storeCode,storefrontAddress,metadata,openInfo",
        "fields": "locations,nextPageToken",
        "pageToken": "next",
    }


async def test_reviews_are_asked_for_in_pages_of_50_newest_update_first() -> None:
    async with google(answer(PAGE)) as (client, server):
        page = await client.list_reviews(TOKEN, "accounts/7", "locations/8", None)
    assert (page.reviews[0].review_id, page.reviews[0].rating, page.total, page.average) == ("r1", 5, 1, 5.0)
    assert server.requests[0].line.startswith("GET /v4/accounts/7/locations/8/reviews?")
    assert parameters(server.requests[0]) == {
        "prettyPrint": "false",
        "pageSize": "50",
        "orderBy": "updateTime desc",
        "fields": "reviews,averageRating,totalReviewCount,nextPageToken",
    }


async def test_a_first_page_without_anything_means_no_reviews_and_a_later_one_does_not() -> None:
    async with google(answer(b"{}")) as (client, _):
        first = await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)
        later = await client.list_reviews(TOKEN, "accounts/1", "locations/2", "p2")
    assert (first.total, later.total) == (0, None)


async def test_the_token_travels_in_the_authorization_header_alone() -> None:
    async with google(answer()) as (client, server):
        await client.list_accounts(TOKEN, None)
        await client.list_locations(TOKEN, "accounts/1", "p")
        await client.list_reviews(TOKEN, "accounts/1", "locations/2", "p")
        await client.token_info(TOKEN)
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {TOKEN}"] * 4
    for request in server.requests:
        others = [value for name, value in request.headers.items() if name != "authorization"]
        assert TOKEN[:12] not in request.line + "".join(others)


async def test_token_info_is_asked_by_post_so_that_no_url_holds_the_token() -> None:
    info = b'{"aud": "123456789012-abc.apps.googleusercontent.com", "expires_in": "3599"}'
    async with google(answer(info)) as (client, server):
        assert await client.token_info(TOKEN) == TokenInfo("123456789012", 3599)
    assert server.requests[0].line == "POST /tokeninfo HTTP/1.1"
    assert parse_qs(server.requests[0].body.decode()) == {"access_token": [TOKEN]}


async def test_gzip_is_asked_for_in_both_places_google_looks_at() -> None:
    async with google(answer()) as (client, server):
        await client.list_accounts(TOKEN, None)
    headers = server.requests[0].headers
    assert headers["accept-encoding"] == "gzip"
    assert headers["user-agent"].startswith("review-fetcher")
    assert "gzip" in headers["user-agent"]


@pytest.mark.parametrize("name", ["gzip", "x-gzip", "GZIP"])
async def test_a_packed_page_is_unpacked(name: str) -> None:
    async with google(answer(gzip.compress(PAGE), Content_Encoding=name)) as (client, _):
        page = await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)
    assert page.total == 1


async def test_a_page_in_chunks_is_one_page() -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (PAGE[:20], PAGE[20:])) + b"0\r\n\r\n"
    async with google(raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)) as (client, _):
        page = await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)
    assert page.total == 1


async def test_the_content_type_does_not_decide_what_json_is() -> None:
    async with google(answer(PAGE, Content_Type="text/html")) as (client, _):
        page = await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)
    assert page.total == 1


async def test_a_retry_after_date_is_measured_from_the_clients_clock() -> None:
    # ManualClock starts at 1,700,000,000, which is this date minus 20 seconds.
    async with google(answer(b"", 429, Retry_After="Tue, 14 Nov 2023 22:13:40 GMT")) as (client, _):
        error = await failure(client)
    assert error.retry_after == 20.0


async def test_a_400_with_a_page_token_speaks_of_the_page_token() -> None:
    said = b'{"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "Request contains an invalid argument."}}'
    async with google(answer(said, 400)) as (client, _):
        kinds = [(await failure(client, token)).kind for token in ("p2", None)]
    assert kinds == [ErrorKind.PAGE_TOKEN_REFUSED, ErrorKind.REFUSED]


async def test_an_error_holds_the_token_nowhere() -> None:
    echo = json.dumps({"error": {"message": f"Bad token {TOKEN} in Bearer {TOKEN}", "status": TOKEN}}).encode()
    async with google(answer(echo, 403), hang_up) as (client, _):
        errors = [await failure(client) for _ in range(2)]
    for error in errors:
        assert error.__cause__ is None
        assert error.__context__ is None
        assert TOKEN[:12] not in repr(error) + str(vars(error))
    assert "[token]" in errors[0].message


@pytest.mark.parametrize("token", ["", "two\r\nX-Other: lines", "späce", "a b", "nul\x00", "\ud800"])
async def test_a_token_that_no_header_can_hold_is_refused_without_a_call(token: str) -> None:
    async with google(answer(PAGE)) as (client, server):
        for call in (client.list_accounts(token, None), client.token_info(token)):
            with pytest.raises(GoogleAPIError) as caught:
                await call
            assert caught.value.kind is ErrorKind.UNAUTHENTICATED
    assert server.requests == []


@pytest.mark.parametrize("token", ["a/b&c=d?e#f", "ü😀 %2e%2e/..", "+", "\ud800"])
async def test_a_page_token_goes_back_as_it_came(token: str) -> None:
    async with google(answer(PAGE)) as (client, server):
        await client.list_reviews(TOKEN, "accounts/1", "locations/2", token)
    assert parameters(server.requests[0])["pageToken"] == token.encode(errors="replace").decode()
    assert urlsplit(server.requests[0].target).path == "/v4/accounts/1/locations/2/reviews"


async def test_a_name_cannot_change_the_path() -> None:
    async with google(answer(PAGE)) as (client, server):
        await client.list_reviews(TOKEN, "accounts/%2e%2e", "locations/a:b;c", None)
    assert urlsplit(server.requests[0].target).path == "/v4/accounts/%252e%252e/locations/a%3Ab%3Bc/reviews"


async def test_a_name_that_leaves_its_segment_is_refused_without_a_call() -> None:
    async with google(answer(PAGE)) as (client, server):
        for account, location in [("accounts/..", "locations/2"), ("accounts/1", "locations/2/../3")]:
            with pytest.raises(GoogleAPIError) as caught:
                await client.list_reviews(TOKEN, account, location, None)
            assert (caught.value.kind, caught.value.reason) == (ErrorKind.REFUSED, "bad_name")
    assert server.requests == []


async def test_start_and_close_can_be_called_twice_and_again() -> None:
    async with serving(answer(PAGE)) as server:
        client = GoogleAPIClient(Endpoints.at(server.url))
        await client.close()
        for _ in range(2):
            await client.start()
            await client.start()
            await client.list_accounts(TOKEN, None)
            await client.close()
            await client.close()
        with pytest.raises(RuntimeError, match="not started"):
            await client.list_accounts(TOKEN, None)
    assert len(server.requests) == 2


async def test_closing_ends_a_call_under_way_as_a_lost_connection() -> None:
    async with google(silence) as (client, server):
        call = asyncio.create_task(failure(client))
        await server.arrived.wait()
        await client.close()
        assert (await call).reason == "connection"


async def test_a_host_is_reachable_when_it_answers_anything() -> None:
    async with google(answer(b"", 404)) as (client, server):
        checks = await client.reachable()
    assert [(check.url, check.answered) for check in checks] == [(server.url, True)]
    assert "authorization" not in server.requests[0].headers


async def test_an_unreachable_host_is_named_with_its_cause() -> None:
    async with serving(silence) as away, serving(answer()) as there:
        endpoints = Endpoints(accounts=there.url, locations=there.url, reviews=away.url, oauth=there.url)
        async with GoogleAPIClient(endpoints, deadline=0.05) as client:
            checks = await client.reachable()
    assert [(check.url, check.answered) for check in checks] == [(there.url, True), (away.url, False)]
    assert checks[1].cause == "Google did not answer in time."
