"""Who is signed in: a cookie that holds the API key, sealed by the service, so that every replica can read it.

Nothing is kept on the server. The key is checked again at each request: when it is revoked, the session is over.
"""

import base64
import binascii
import hmac
import json
import secrets
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import Response

from app.clock import Clock
from app.credentials import Purpose, SealedTokenError, TokenSealer

LIFETIME_SECONDS = 12 * 3600
"""A working day: then whoever sits there signs in again."""

COOKIE = "review_fetcher_console"
PATH = "/console"


@dataclass(frozen=True, slots=True)
class Session:
    """`key` None: not signed in, which is enough where there are no keys. `csrf` goes into every form of its pages."""

    key: str | None = field(repr=False)
    csrf: str = field(repr=False)
    expires_at: float

    def allows(self, csrf: str | None) -> bool:
        """Whether a form comes from a page of this session."""
        return csrf is not None and hmac.compare_digest(csrf.encode(), self.csrf.encode())


class Sessions:
    """Begins sessions and reads them back."""

    def __init__(self, sealer: TokenSealer, clock: Clock) -> None:
        self._sealer = sealer
        self._clock = clock

    def begin(self, key: str | None) -> Session:
        """With a token against forged forms of its own: one from before the sign-in is worth nothing after it."""
        return Session(key, secrets.token_urlsafe(24), self._clock.now() + LIFETIME_SECONDS)

    def read(self, request: Request) -> Session | None:
        """The session of a request; None without a cookie, with one that was changed, and after its time."""
        cookie = request.cookies.get(COOKIE)
        session = self._opened(cookie) if cookie else None
        return session if session and self._clock.now() < session.expires_at else None

    def write(self, response: Response, session: Session, *, secure: bool) -> None:
        """Give the session to the browser."""
        response.set_cookie(
            COOKIE,
            self._sealed(session),
            max_age=max(0, int(session.expires_at - self._clock.now())),
            path=PATH,
            secure=secure,
            httponly=True,
            samesite="strict",
        )

    def _sealed(self, session: Session) -> str:
        content = json.dumps([session.key, session.csrf, session.expires_at])
        return base64.urlsafe_b64encode(self._sealer.seal("", "", content, Purpose.SESSION).data).decode().rstrip("=")

    def _opened(self, cookie: str) -> Session | None:
        try:
            sealed = base64.urlsafe_b64decode(cookie.encode() + b"=" * (-len(cookie) % 4))
            return Session(*json.loads(self._sealer.open("", "", sealed, Purpose.SESSION)))
        except (SealedTokenError, binascii.Error, ValueError):
            return None


def is_https(request: Request) -> bool:
    """Whether the browser speaks TLS, to this process or to a proxy that says so: the cookie is for TLS alone then.

    Who claims it wrongly only keeps the cookie from himself.
    """
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "").startswith("https")
