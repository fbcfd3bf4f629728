"""The secrets of a test, learned where they enter the service, and where any of them was found again.

Every access token of the tests begins with `ya29.`, every refresh token with `1//` and every client secret with
`GOCSPX-`, as Google's do: so one that Google gives in the middle of a test is known by its shape. What else is secret,
or looks otherwise, is learned when a test sends it (`tests.support.service`) or the service seals it.
"""

import json
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

TELLING = 12
"""Characters: a beginning of a secret as long as this is not told either."""

SHAPES = ("ya29.", "GOCSPX-")

_IN_BODIES = ("access_token", "refresh_token", "client_secret")
_IN_HEADERS = ("x-api-key", "authorization", "cookie")
_NAME_OF_KEY = re.compile(r"^rf_[a-z0-9]{8}_")


class Canaries:
    """`active` from the begin of a test until its end. Places are names for people; a found secret is not quoted."""

    def __init__(self) -> None:
        self.active = False
        self.directories: set[Path] = set()
        """Where services ran."""
        self._secrets: set[str] = set()
        self._found: dict[str, set[str]] = {}

    def begin(self) -> None:
        """Nothing of another test is left."""
        self.active = True
        self.directories.clear()
        self._secrets.clear()
        self._found.clear()

    def end(self) -> None:
        """AssertionError with every place where a secret was found."""
        self.active = False
        places = self.places()
        assert not places, "secrets were left in\n" + "\n".join(places)

    def places(self) -> list[str]:
        """Where one was found so far, and in which forms."""
        return [f"{place}: {', '.join(sorted(kinds))}" for place, kinds in sorted(self._found.items())]

    def learn(self, *secrets: str) -> None:
        """Of those that are long enough to be told from other text. The name in front of an API key is public."""
        whole = (_NAME_OF_KEY.sub("", secret) for secret in secrets)
        self._secrets.update(secret for secret in whole if len(secret) >= TELLING)

    def learn_request(self, headers: Mapping[str, str], body: Any) -> None:
        """What a request brings."""
        self.learn(*(value.removeprefix("Bearer ") for name, value in headers.items() if name.lower() in _IN_HEADERS))
        if isinstance(body, dict):
            self.learn(*(value for name, value in body.items() if name in _IN_BODIES and isinstance(value, str)))
            self.learn(*_of_url(body.get("callback_url")))

    def learn_settings(self, settings: Mapping[str, str]) -> None:
        """API keys without their scopes, sealing keys without their ids."""
        self.learn(*(key.partition(":")[0] for key in settings.get("API_KEYS", "").split(",")))
        self.learn(*(key.partition(":")[2] for key in settings.get("TOKEN_SEALING_KEYS", "").split(",")))
        self.learn(*(settings.get(f"REVIEW_FETCHER_{name}", "") for name in ("TOKEN", "REFRESH_TOKEN", "API_KEY")))

    def learn_sealed(self, text: str) -> None:
        """What a sealer gets: a token, a grant, the URL of a callback, or the session of a browser."""
        if text.startswith("{"):
            grant = json.loads(text)
            self.learn(grant["refresh_token"], grant["client_secret"])
        elif text.startswith("["):
            self.learn(*(value for value in json.loads(text)[:1] if isinstance(value, str)))
        else:
            self.learn(*(_of_url(text) if "://" in text else (text,)))

    def search(self, place: str, parts: Iterable[bytes]) -> None:
        """Note whether a secret is in them; `parts` follow each other, and are held one at a time."""
        if self.active:
            search = Search(self, place)
            for part in parts:
                search.feed(part)

    def look(self, place: str, data: bytes) -> None:
        for name in found_in(data, frozenset(self._secrets)):
            self._found.setdefault(place, set()).add(name)


class Search:
    """Looks through parts that follow each other, as they come."""

    def __init__(self, canaries: Canaries, place: str) -> None:
        self._canaries = canaries
        self._place = place
        self._rest = b""

    def feed(self, part: bytes) -> None:
        self._canaries.look(self._place, self._rest + part)
        self._rest = part[-LONGEST:]


CANARIES = Canaries()
"""Of the test that runs."""

LONGEST = 200
"""Bytes of a needle, or more."""


def found_in(data: bytes, secrets: frozenset[str]) -> list[str]:
    """The forms in which one of the secrets, or what has the shape of a token, is in the data."""
    return sorted({name for needle, name in _needles(secrets) if needle in data})


@lru_cache(maxsize=64)
def _needles(secrets: frozenset[str]) -> tuple[tuple[bytes, str], ...]:
    """As few as say the same: one that holds another finds nothing that this does not find."""
    every: dict[bytes, str] = {}
    for shape in SHAPES:
        every |= {needle: f"{name} with the shape of a token" for needle, name in _of_shape(shape)}
    for secret in sorted(secrets):
        for needle, name in forms(secret):
            every.setdefault(needle, name)
    kept: list[tuple[bytes, str]] = []
    for needle in sorted(every, key=len):
        if not any(shorter in needle for shorter, _ in kept):
            kept.append((needle, every[needle]))
    return tuple(kept)


def forms(secret: str) -> Iterator[tuple[bytes, str]]:
    """Its beginning and its end as they are, and as URLs, JSON, Python, hexadecimal digits and base64 have them."""
    plain = secret.encode()
    yield plain[:TELLING], "text"
    yield plain[-2 * TELLING :], "text"
    for written in (quote(secret, safe=""), quote_plus(secret)):
        yield written.encode()[:TELLING], "escaped for a URL"
        yield written.encode()[-2 * TELLING :], "escaped for a URL"
    for written in (json.dumps(secret)[1:-1], repr(secret)[1:-1]):
        yield written.encode()[:TELLING], "escaped"
        yield written.encode()[-2 * TELLING :], "escaped"
    yield plain.hex().encode()[: 2 * TELLING], "hexadecimal"
    yield from _base64(plain[:30], "base64")
    if len(raw := _bytes_of_key(secret)) == 32:
        yield raw, "the bytes of a key"
        yield raw.hex().encode(), "hexadecimal"


def _of_shape(shape: str) -> Iterator[tuple[bytes, str]]:
    yield shape.encode(), "text"
    yield shape.encode().hex().encode(), "hexadecimal"
    yield from _base64(shape.encode(), "base64")


def _base64(plain: bytes, name: str) -> Iterator[tuple[bytes, str]]:
    """What is the same wherever it begins within a group of three bytes, and whatever stands around it."""
    for encode in (b64encode, urlsafe_b64encode):
        for before in range(3):
            encoded = encode(bytes(before) + plain)
            whole = (before + len(plain)) * 4 // 3
            yield encoded[-(-before * 8 // 6) : whole], name


def _bytes_of_key(secret: str) -> bytes:
    try:
        return b64decode(secret, validate=True)
    except ValueError:
        return b""


def _of_url(url: object) -> Iterator[str]:
    if isinstance(url, str):
        query = urlsplit(url).query
        yield query
        yield from (value for _, value in parse_qsl(query))
