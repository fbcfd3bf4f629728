"""The calls. One page each; nothing here waits for quota or tries twice."""

import asyncio
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import NamedTuple, Protocol, Self
from urllib.parse import quote, urlencode

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from app.clock import Clock, SystemClock
from app.google.body import read_error, read_page
from app.google.endpoints import ACCOUNTS, LOCATIONS, REVIEWS, TOKEN, TOKEN_INFO, Endpoints
from app.google.errors import ErrorKind, GoogleAPIError, Refusal, refusal_error
from app.google.listing import decode_accounts, decode_fresh_token, decode_locations, decode_token_info
from app.google.pages import AccountsPage, FreshToken, LocationsPage, ReviewsPage, TokenInfo
from app.google.spans import Call, call_span, tell_answered, tell_failed
from app.google.transport import FAILURES, send_once, transport_error
from app.google.wire import decode_reviews
from app.models.grant import RefreshGrant
from app.models.pools import Pool, pool_of


def _query(**parameters: str | int) -> str:
    return urlencode({"prettyPrint": "false", **parameters}, quote_via=quote)


# The largest pages Google gives (discovery documents, v4 RPC reference): a call costs the same whatever it brings.
_ACCOUNTS = _query(pageSize=20, fields="accounts,nextPageToken")
_LOCATIONS = _query(
    pageSize=100,
    readMask="name,title,storeCode,storefrontAddress,metadata,openInfo",
    fields="locations,nextPageToken",
)
_REVIEWS = _query(
    pageSize=50,
    orderBy="updateTime desc",
    fields="reviews,averageRating,totalReviewCount,nextPageToken",
)
# Visible ASCII: what an HTTP header can carry, and what every OAuth token consists of (RFC 6750).
_TOKEN = re.compile(r"[!-~]+")
_MOST_TOKEN_BYTES = 64 * 1024
"""Of what tokeninfo and the token endpoint answer: some hundred bytes and two tokens."""
_LARGE_AT_ONCE = 8
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class AskedAboutToken(Protocol):
    """Told of a call that lists nothing: tokeninfo or token; ok or the reason of its error; how long it took; whether
    a quota was the reason."""

    def __call__(self, asked: str, outcome: str, seconds: float, /, *, throttled: bool) -> None: ...


def _nobody(_asked: str, _outcome: str, _seconds: float, /, *, throttled: bool) -> None:
    """Who is told when nobody wants to know."""


class HostCheck(NamedTuple):
    """Whether a host answered at all (any HTTP status counts), and if not, why."""

    url: str
    answered: bool
    cause: str


class GoogleAPIClient:
    """Google Business Profile over HTTP. A call fails as `GoogleAPIError` alone and ends within `deadline` seconds.

    Names are `accounts/{id}` and `locations/{id}`. The token travels in the Authorization header alone (tokeninfo:
    also in the form it is asked by; a grant: in its form alone), to the host that was asked and to no other: redirects
    are not followed, and neither proxies nor `.netrc` of the environment are used. At most `connections` calls are on
    the wire at once: callers run fewer, so that nobody's deadline passes in a queue. Pages over `max_page_bytes`,
    packed or unpacked, are refused while they are read, and few large ones are read at the same time. `authorities`:
    whose certificates are trusted; None: those that the system trusts.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        connections: int = 64,
        deadline: float = 30.0,
        max_page_bytes: int = 4 * 2**20,
        clock: Clock | None = None,
        authorities: ssl.SSLContext | None = None,
        asked_about_token: AskedAboutToken = _nobody,
    ) -> None:
        self._endpoints = endpoints
        self._connections = connections
        self._deadline = deadline
        self._max_page_bytes = max_page_bytes
        self._clock = clock or SystemClock()
        self._authorities = authorities
        self._asked_about_token = asked_about_token
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._session: ClientSession | None = None
        self._sending = 0

    def pool(self) -> Pool:
        """Calls that have begun and not ended, among the connections they share."""
        return pool_of(self._sending, self._connections)

    async def start(self) -> None:
        """Be ready to send; nothing is sent yet. Idempotent."""
        if self._session is None:
            self._session = _new_session(self._connections, self._authorities)

    async def close(self) -> None:
        """Close every connection. Idempotent; calls under way fail as lost connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def list_accounts(self, token: str, page_token: str | None) -> AccountsPage:
        """accounts.list: up to 20 accounts of the token's user."""
        url = self._endpoints.accounts_url()
        return decode_accounts(await self._page(ACCOUNTS, url, _ACCOUNTS, token, page_token))

    async def list_locations(self, token: str, account: str, page_token: str | None) -> LocationsPage:
        """locations.list: up to 100 locations that the account can see."""
        url = self._endpoints.locations_url(account)
        return decode_locations(await self._page(LOCATIONS, url, _LOCATIONS, token, page_token))

    async def list_reviews(self, token: str, account: str, location: str, page_token: str | None) -> ReviewsPage:
        """reviews.list: up to 50 reviews of a location, newest update first."""
        url = self._endpoints.reviews_url(account, location)
        body = await self._page(REVIEWS, url, _REVIEWS, token, page_token)
        return decode_reviews(body, first_page=page_token is None)

    async def token_info(self, token: str) -> TokenInfo:
        """tokeninfo: asked by POST, because a URL ends up in logs."""
        form = urlencode({"access_token": token}, errors="replace").encode()
        url = self._endpoints.token_info_url()
        with self._telling("tokeninfo"):
            return decode_token_info(await self._send(Call("POST", TOKEN_INFO, url), url, token, form=form))

    async def refresh(self, grant: RefreshGrant) -> FreshToken:
        """The token endpoint (RFC 6749, 6): a new access token. It spends no quota of the Business Profile APIs."""
        secrets = (grant.refresh_token, grant.client_secret, grant.client_id)
        fields = {"grant_type": "refresh_token", **asdict(grant)}
        form = urlencode(fields, errors="replace").encode()
        url = self._endpoints.token_url()
        call = Call("POST", TOKEN, url)
        with self._telling("token"):
            return decode_fresh_token(await self._send(call, url, "", form=form, secrets=secrets))

    @contextmanager
    def _telling(self, asked: str) -> Iterator[None]:
        """A caller that waits no longer ends the call too."""
        began, outcome, throttled = self._clock.monotonic(), "cancelled", False
        try:
            yield
            outcome = "ok"
        except GoogleAPIError as error:
            outcome, throttled = error.reason, error.kind is ErrorKind.THROTTLED
            raise
        finally:
            self._asked_about_token(asked, outcome, self._clock.monotonic() - began, throttled=throttled)

    async def reachable(self) -> list[HostCheck]:
        """Each host of the endpoints, once: does it answer anything? Nothing secret is sent."""
        return list(await asyncio.gather(*(self._check(base) for base in self._endpoints.bases())))

    async def _page(self, template: str, url: str, query: str, token: str, page_token: str | None) -> bytes:
        call = Call("GET", template, url)
        if page_token is None:
            return await self._send(call, f"{url}?{query}", token)
        marker = quote(page_token, safe="", errors="replace")
        return await self._send(call, f"{url}?{query}&pageToken={marker}", token, page_token=True)

    async def _send(
        self,
        call: Call,
        url: str,
        token: str,
        *,
        form: bytes | None = None,
        page_token: bool = False,
        secrets: tuple[str, ...] = (),
    ) -> bytes:
        """The body of a 200; a `GoogleAPIError` for everything else. `secrets`: what the form holds of them."""
        with call_span(call) as span:
            try:
                body = await self._exchange(call.method, url, token, form=form, page_token=page_token, secrets=secrets)
            except GoogleAPIError as error:
                tell_failed(span, error)
                raise
            tell_answered(span)
            return body

    async def _exchange(
        self, method: str, url: str, token: str, *, form: bytes | None, page_token: bool, secrets: tuple[str, ...]
    ) -> bytes:
        headers = {} if secrets else {"Authorization": _bearer(token)}
        headers |= _FORM if form else {}
        # `encoded`: the URL goes out exactly as built, with no ".." resolved and nothing decoded.
        target = URL(url, encoded=True)
        self._sending += 1
        try:
            async with (
                asyncio.timeout(self._deadline),
                self._open().request(method, target, headers=headers, data=form, allow_redirects=False) as answer,
            ):
                if answer.status == 200:
                    limit = self._max_page_bytes if form is None else _MOST_TOKEN_BYTES
                    return await read_page(answer, limit, self._large)
                waits = answer.headers.get("Retry-After")
                refusal = Refusal(answer.status, await read_error(answer), waits, token, page_token, secrets)
                failure = refusal_error(refusal, self._clock.now())
        except FAILURES as error:
            failure = transport_error(error)
        finally:
            self._sending -= 1
        # Outside of the handler: aiohttp's exceptions carry the request, token and all, and must not be chained.
        raise failure

    async def _check(self, base: str) -> HostCheck:
        try:
            async with (
                asyncio.timeout(self._deadline),
                self._open().get(URL(f"{base}/"), allow_redirects=False),
            ):
                return HostCheck(base, answered=True, cause="")
        except FAILURES as error:
            return HostCheck(base, answered=False, cause=transport_error(error).message)

    def _open(self) -> ClientSession:
        if self._session is None:
            raise RuntimeError("The Google client is not started.")
        return self._session


def _new_session(connections: int, authorities: ssl.SSLContext | None) -> ClientSession:
    return ClientSession(
        connector=TCPConnector(limit=connections, ssl=authorities or True),
        cookie_jar=DummyCookieJar(),
        headers={"Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": _user_agent()},
        timeout=ClientTimeout(total=None, sock_connect=None),
        middlewares=(send_once,),
        auto_decompress=False,
        trust_env=False,
    )


def _user_agent() -> str:
    """Google packs its answers only for clients that say gzip here too (its "Performance tips")."""
    try:
        return f"review-fetcher/{version('review-fetcher')} (gzip)"
    except PackageNotFoundError:
        return "review-fetcher (gzip)"


def _bearer(token: str) -> str:
    if not _TOKEN.fullmatch(token):
        raise GoogleAPIError(
            ErrorKind.UNAUTHENTICATED,
            "unauthenticated",
            "The access token holds characters that no token has: send a new one.",
        )
    return f"Bearer {token}"
