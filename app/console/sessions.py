"""Who is signed in: a cookie that holds the API key, sealed by the service, so that every replica can read it.

The key is checked again at each request: when it is revoked or expires, the session is over. The store keeps of a
session only that somebody has signed out of it: from then on its cookie opens nothing, whoever kept a copy.
"""

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass, field, replace

from starlette.requests import Request
from starlette.responses import Response

from app.clock import Clock
from app.credentials import Purpose, SealedTokenError, TokenSealer
from app.store.database import Database, StoreUnavailableError
from app.store.sessions import end_session, is_session_ended

LIFETIME_SECONDS = 12 * 3600
"""A working day: then whoever sits there signs in again."""

IDLE_SECONDS = 3600
"""Without a request, of a person or of an open page: then the browser was closed, or its machine left."""

RENEW_SECONDS = 300
"""The cookie tells the last request as exactly as this."""

COOKIE = "review_fetcher_console"
HTTPS_COOKIE = f"__Host-{COOKIE}"
"""A browser takes a cookie of this name only over TLS, from this very host, for all its paths (RFC 6265bis)."""

PATH = "/console"


@dataclass(frozen=True, slots=True)
class Session:
    """`key` None: not signed in, which is enough where there are no keys. `csrf` goes into every form of its pages.

    `expires_at`: the end, whatever happens; `seen_at`: the last request, some minutes late at most.
    """

    key: str | None = field(repr=False)
    csrf: str = field(repr=False)
    expires_at: float
    seen_at: float

    @property
    def id(self) -> str:
        """Names it without helping anybody to forge a form of it."""
        return hashlib.sha256(self.csrf.encode()).hexdigest()[:32]

    @property
    def ends_at(self) -> float:
        """If nothing is asked any more."""
        return min(self.expires_at, self.seen_at + IDLE_SECONDS)

    def allows(self, csrf: str | None) -> bool:
        """Whether a form comes from a page of this session."""
        return csrf is not None and hmac.compare_digest(csrf.encode(), self.csrf.encode())


class Sessions:
    """Begins sessions, reads them back, ends them."""

    def __init__(self, sealer: TokenSealer, clock: Clock, database: Database) -> None:
        self._sealer = sealer
        self._clock = clock
        self._database = database

    def begin(self, key: str | None) -> Session:
        """With a token against forged forms of its own: one from before the sign-in is worth nothing after it."""
        now = self._clock.now()
        return Session(key, secrets.token_urlsafe(24), now + LIFETIME_SECONDS, now)

    def renewed(self, session: Session) -> Session | None:
        """The session with this request as its last one; None when its cookie tells that closely enough."""
        now = self._clock.now()
        return replace(session, seen_at=now) if now - session.seen_at > RENEW_SECONDS else None

    async def end(self, session: Session | None) -> None:
        """Nobody gets in by its cookie any more, at any replica."""
        if session is not None and session.key is not None:
            await self._database.write(end_session, session.id, session.expires_at)

    async def goes_on(self, session: Session) -> bool:
        """Whether a page that was let in by it may still be told something. A store that is away ends nothing."""
        if self._clock.now() >= session.expires_at:
            return False
        try:
            return not await self._is_ended(session)
        except StoreUnavailableError:
            return True

    async def read(self, request: Request) -> Session | None:
        """The session of a request; None without a cookie, with one that was changed, and after its end.

        Raises StoreUnavailableError if it cannot be told whether somebody has signed out of it.
        """
        cookie = request.cookies.get(HTTPS_COOKIE if is_https(request) else COOKIE)
        session = self._opened(cookie) if cookie else None
        if session is None or self._clock.now() >= session.ends_at:
            return None
        return None if await self._is_ended(session) else session

    async def _is_ended(self, session: Session) -> bool:
        return session.key is not None and await self._database.read(is_session_ended, session.id)

    def write(self, response: Response, session: Session, *, secure: bool) -> None:
        """Give the session to the browser."""
        response.set_cookie(
            HTTPS_COOKIE if secure else COOKIE,
            self._sealed(session),
            max_age=max(0, int(session.ends_at - self._clock.now())),
            path="/" if secure else PATH,
            secure=secure,
            httponly=True,
            samesite="strict",
        )

    def _sealed(self, session: Session) -> str:
        content = json.dumps([session.key, session.csrf, session.expires_at, session.seen_at])
        return base64.urlsafe_b64encode(self._sealer.seal("", "", content, Purpose.SESSION).data).decode().rstrip("=")

    def _opened(self, cookie: str) -> Session | None:
        try:
            sealed = base64.urlsafe_b64decode(cookie.encode() + b"=" * (-len(cookie) % 4))
            return Session(*json.loads(self._sealer.open("", "", sealed, Purpose.SESSION)))
        except (SealedTokenError, binascii.Error, TypeError, ValueError):
            return None


def is_https(request: Request) -> bool:
    """Whether the browser speaks TLS, to this process or to a proxy that says so: the cookie is for TLS alone then.

    Who claims it wrongly only keeps the cookie from himself.
    """
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "").startswith("https")
