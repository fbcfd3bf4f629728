"""Access tokens: which world each one opens, how long it lives, and how a refresh token gives a new one."""

import re
import time
from collections import OrderedDict
from functools import lru_cache
from itertools import count
from typing import Any

from app.simulator.calls import fingerprint
from app.simulator.catalogue import Catalogue

LIFETIME = 3600  # seconds, as Google's access tokens
SCOPE = "https://www.googleapis.com/auth/business.manage"
_REMEMBERED = 100_000
_WORLD = re.compile(r"(?:^|[./])sim(-.*)")
_FRESH = re.compile(r"-fresh\d+(?=-|$)")
_NUMBERS = re.compile(r"-([a-z]+)(\d{1,9}(?:\.\d{1,9})?)(?=-|$)")
_SIZES = {
    "seed": "seed",
    "accounts": "accounts",
    "locations": "locations",
    "reviews": "reviews",
    "shared": "shared_locations",
}
_SHARES = ("spread", "unverified", "empty")


class Tokens:
    """Any token is good unless it is empty, starts with `invalid`, was expired by a fault, or has outlived itself.

    A token with `sim-` in it chooses its own world: `ya29.sim-accounts3-locations5-reviews20-seed7` and further
    `-shared…`, `-unverified0.2`, `-empty…`, `-spread…`; `-project…` is the number of its Google project, `-expires…`
    its lifetime in seconds. Other words do no harm and tell tokens apart.

    Any refresh token is good in the same way. It passes its words on, `-expires…` too: so long live the access tokens
    that it gives. With `-rotates1` each use ends it and gives another one in its place. Any client is good whose secret
    does not start with `invalid`.
    """

    def __init__(self, default: Catalogue) -> None:
        self._default = default
        self._first_seen: OrderedDict[str, float] = OrderedDict()
        self._expired: set[str] = set()
        self._numbers = count(1)
        self.catalogue_of = lru_cache(maxsize=1024)(self._catalogue_of)

    def is_good(self, token: str) -> bool:
        if not token or token.startswith("invalid"):
            return False
        try:
            self.catalogue_of(token)
        except ValueError:  # a share above 1: there is no such world
            return False
        return self._left(token) > 0

    def expires_in(self, token: str) -> int:
        """Whole seconds left to live, from when the simulator first saw the token; 0 when expired."""
        return int(self._left(token))

    def _left(self, token: str) -> float:
        if token in self._expired:
            return 0.0
        now = time.monotonic()
        seen = self._first_seen.setdefault(token, now)
        if len(self._first_seen) > _REMEMBERED:
            self._first_seen.popitem(last=False)
        return max(0.0, _words(token).get("expires", LIFETIME) - (now - seen))

    def expire(self, token: str) -> None:
        self._expired.add(token)

    def forgive(self) -> None:
        """Forgets what faults expired."""
        self._expired.clear()

    def project(self, token: str) -> int:
        return int(_words(token).get("project", 1))

    def refresh(self, refresh_token: str) -> dict[str, Any] | None:
        """The token endpoint's answer, or None when the refresh token was revoked, or starts with `invalid`."""
        if not refresh_token or refresh_token.startswith("invalid") or refresh_token in self._expired:
            return None
        found = _WORLD.search(refresh_token)
        words = _FRESH.sub("", found[1]) if found else ""
        number = next(self._numbers)
        token = f"ya29.sim{words}-fresh{number}"
        self.expires_in(token)  # it is seen from now on
        lifetime = int(_words(token).get("expires", LIFETIME - 1))
        answer = {"access_token": token, "expires_in": lifetime, "scope": SCOPE, "token_type": "Bearer"}
        if "rotates" in _words(refresh_token):
            self.expire(refresh_token)
            answer["refresh_token"] = f"1//sim{words}-fresh{number}"
        return answer

    def information(self, token: str) -> dict[str, Any]:
        """tokeninfo, with the names of both published shapes: `aud`, `azp` and `audience`, `issued_to`."""
        client = f"{self.project(token)}-simulator.apps.googleusercontent.com"
        left = self.expires_in(token)
        return {
            "issued_to": client,
            "audience": client,
            "azp": client,
            "aud": client,
            "sub": fingerprint(token),
            "scope": SCOPE,
            "exp": str(int(time.time()) + left),
            "expires_in": str(left),
            "access_type": "offline",
        }

    def _catalogue_of(self, token: str) -> Catalogue:
        """The world that a token opens. Raises ValueError for impossible sizes."""
        words = _words(token)
        if not words:
            return self._default
        sizes = {field: int(words[word]) for word, field in _SIZES.items() if word in words}
        shares = {word: words[word] for word in _SHARES if word in words}
        chosen: dict[str, Any] = {**sizes, **shares}
        return Catalogue(**chosen) if chosen else self._default


@lru_cache(maxsize=1024)
def _words(token: str) -> dict[str, float]:
    found = _WORLD.search(token)
    return {match[1]: float(match[2]) for match in _NUMBERS.finditer(found[1])} if found else {}
