"""The client against a server that does what Google's front ends, proxies and broken networks do."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

from app.google import body as bodies
from app.google.client import GoogleAPIClient
from app.google.endpoints import Endpoints
from app.google.errors import ErrorKind, GoogleError
from app.google.pages import TokenInfo
from tests.support.clock import ManualClock
from tests.unit.google.server import (
    Answer,
    Request,
    Server,
    answer,
    endless,
    hang_up,
    raw,
    serving,
    silence,
    then_silence,
)

TOKEN = "ya29.a0AfB_by-this-is-a-secret/token=="
REVIEW = {"reviewId": "r1", "name": "accounts/1/locations/2/reviews/r1", "starRating": "FIVE"}
PAGE = json.dumps({"reviews": [REVIEW], "totalReviewCount": 1, "averageRating": 5}).encode()


@asynccontextmanager
async def google(
    *answers: Answer, deadline: float = 30.0, max_page_bytes: int = 2**20, connections: int = 64
) -> AsyncIterator[tuple[GoogleAPIClient, Server]]:
    async with serving(*answers) as server:
        client = GoogleAPIClient(
            Endpoints.at(server.url),
            deadline=deadline,
            max_page_bytes=max_page_bytes,
            connections=connections,
            clock=ManualClock(),
        )
        async with client:
            yield client, server


async def failure(client: GoogleAPIClient, page_token: str | None = None) -> GoogleError:
    with pytest.raises(GoogleError) as caught:
        await client.list_reviews(TOKEN, "accounts/1", "locations/2", page_token)
    return caught.value


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


async def test_a_redirect_is_not_followed() -> None:
    async with (
        serving(answer(PAGE)) as elsewhere,
        google(answer(b"", 302, Location=f"{elsewhere.url}/v4")) as (client, _),
    ):
        error = await failure(client)
    assert elsewhere.requests == []
    assert (error.kind, error.reason, error.status) == (ErrorKind.TRANSIENT, "http_302", 302)


async def test_cookies_are_neither_kept_nor_sent() -> None:
    async with google(answer(Set_Cookie="NID=tracked; Path=/")) as (client, server):
        await client.list_accounts(TOKEN, None)
        await client.list_accounts(TOKEN, None)
    assert "cookie" not in server.requests[1].headers


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with google(answer(PAGE)) as (client, server):
        await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)
    assert len(server.requests) == 1


async def test_a_connection_is_used_again() -> None:
    async with google(answer(PAGE)) as (client, server):
        for _ in range(3):
            await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)
    assert server.connections == 1


async def test_a_call_is_not_sent_again_when_a_kept_connection_breaks() -> None:
    async with google(answer(PAGE), hang_up) as (client, server):
        await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)
        error = await failure(client)
    assert len(server.requests) == 2
    assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, "connection")


CUT_GZIP = gzip.compress(PAGE)[:-12]
HTML = b"<html><title>Sorry</title>" + b"x" * 100
BROKEN = {
    "cut by length": (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + PAGE, then_close=True), "cut"),
    "cut in a chunk": (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{", then_close=True), "cut"),
    "cut json": (raw(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + PAGE[:-9], then_close=True), "cut"),
    "cut gzip": (answer(CUT_GZIP, Content_Encoding="gzip"), "cut"),
    "not gzip": (answer(PAGE, Content_Encoding="gzip"), "bad_gzip"),
    "more than gzip": (answer(gzip.compress(PAGE) + b"more", Content_Encoding="gzip"), "bad_gzip"),
    "other packing": (answer(PAGE, Content_Encoding="br"), "content_encoding"),
    "packed twice": (answer(PAGE, Content_Encoding="gzip, gzip"), "content_encoding"),
    "html": (answer(HTML, Content_Type="text/html"), "invalid_json"),
    "a list": (answer(b"[]"), "invalid_json"),
    "deep": (answer(b'{"reviews": ' + b"[" * 100_000), "invalid_json"),
    "reviews no list": (answer(b'{"reviews": {}}'), "invalid_json"),
    "page token a number": (answer(b'{"nextPageToken": 5}'), "invalid_json"),
    "no content": (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), "http_204"),
    "not http": (raw(b"220 mail.example ESMTP\r\n", then_close=True), "bad_http"),
    "no answer": (hang_up, "connection"),
}


@pytest.mark.parametrize(("broken", "reason"), BROKEN.values(), ids=BROKEN)
async def test_a_broken_answer_is_transient_and_the_next_call_works(broken: Answer, reason: str) -> None:
    async with google(broken, answer(PAGE)) as (client, _):
        error = await failure(client)
        assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, reason)
        assert (await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)).total == 1


async def test_nobody_listening_is_a_connection_failure() -> None:
    async with serving(silence) as server:
        pass
    async with GoogleAPIClient(Endpoints.at(server.url)) as client:
        error = await failure(client)
    assert (error.kind, error.reason, error.status) == (ErrorKind.TRANSIENT, "connection", None)


@pytest.mark.parametrize(
    "hanging", [silence, then_silence(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{"), then_silence(b"HTTP/1.1 2")]
)
async def test_a_call_ends_at_its_deadline_wherever_the_answer_stops(hanging: Answer) -> None:
    async with google(hanging, deadline=0.05) as (client, _):
        error = await failure(client)
    assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, "timeout")


async def test_a_cancelled_call_gives_its_connection_back() -> None:
    async with google(silence, answer(PAGE), connections=1) as (client, server):
        call = asyncio.create_task(client.list_reviews(TOKEN, "accounts/1", "locations/2", None))
        await server.arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)).total == 1


@pytest.mark.parametrize(
    "huge",
    [
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{"),
        endless(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" " * 4096),
        answer(gzip.compress(b" " * 2**20), Content_Encoding="gzip"),
    ],
    ids=["announced", "endless", "unpacked"],
)
async def test_a_page_over_the_limit_is_refused_while_it_is_read(huge: Answer) -> None:
    async with google(huge, answer(PAGE), max_page_bytes=2**16) as (client, _):
        error = await failure(client)
        assert (error.kind, error.reason) == (ErrorKind.TRANSIENT, "page_too_large")
        assert (await client.list_reviews(TOKEN, "accounts/1", "locations/2", None)).total == 1


async def test_an_error_is_known_by_its_status_when_its_body_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_ERROR_SECONDS", 0.05)
    unfinished = b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 900\r\n\r\n{"
    async with google(then_silence(unfinished)) as (client, _):
        error = await failure(client)
    assert (error.kind, error.retry_after) == (ErrorKind.THROTTLED, 7.0)


async def test_an_error_is_known_by_its_status_when_its_body_is_cut() -> None:
    cut = raw(b"HTTP/1.1 503 Away\r\nContent-Length: 900\r\n\r\n{", then_close=True)
    async with google(cut) as (client, _):
        error = await failure(client)
    assert (error.kind, error.reason, error.status) == (ErrorKind.TRANSIENT, "http_503", 503)


async def test_of_an_errors_body_only_the_beginning_is_read() -> None:
    async with google(endless(b"HTTP/1.1 404 No\r\nConnection: close\r\n\r\n", b"<p>" * 4096)) as (client, _):
        error = await failure(client)
    assert (error.kind, error.reason, error.status) == (ErrorKind.REFUSED, "http_404", 404)


async def test_an_error_may_be_packed_and_its_bomb_stays_small() -> None:
    said = json.dumps({"error": {"status": "NOT_FOUND", "message": "Requested entity was not found."}}).encode()
    bomb = gzip.compress(b" " * 2**24 + said)
    packed = [answer(body, 404, Content_Encoding="gzip") for body in (gzip.compress(said), bomb, b"not gzip")]
    async with google(*packed) as (client, _):
        reasons = [(await failure(client)).reason for _ in range(3)]
    assert reasons == ["NOT_FOUND", "http_404", "http_404"]


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
        with pytest.raises(GoogleError) as caught:
            await client.list_accounts(token, None)
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
            with pytest.raises(GoogleError) as caught:
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
