"""What a hostile Google answers, by a seed: real bodies made wrong, under many statuses, headers and packings."""

import gzip
import json
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import aiohttp

from app.google.client import GoogleAPIClient
from app.models.grant import RefreshGrant
from app.simulator import Catalogue
from tests.support.malformed import malformed
from tests.support.simulator import running_simulator
from tests.unit.google.calling import TOKEN
from tests.unit.google.server import Answer, raw
from tests.unit.google.test_errors import TABLE

GRANT = RefreshGrant("1//0g-refresh-secret", "123456789012-abc.apps.googleusercontent.com", "GOCSPX-secret-of-ours")

Call = Callable[[GoogleAPIClient], Awaitable[Any]]

CALLS: dict[str, Call] = {
    "accounts": lambda client: client.list_accounts(TOKEN, None),
    "accounts, paged": lambda client: client.list_accounts(TOKEN, "p2"),
    "locations": lambda client: client.list_locations(TOKEN, "accounts/1", None),
    "reviews": lambda client: client.list_reviews(TOKEN, "accounts/1", "locations/2", None),
    "reviews, paged": lambda client: client.list_reviews(TOKEN, "accounts/1", "locations/2", "p2"),
    "tokeninfo": lambda client: client.token_info(TOKEN),
    "token": lambda client: client.refresh(GRANT),
}

STATUSES: tuple[int, ...] = (200,) * 12 + (
    201,
    204,
    206,
    302,
    304,
    400,
    400,
    401,
    403,
    403,
    404,
    409,
    418,
    429,
    429,
    500,
    501,
    503,
    599,
)
STATUSES += (600, 799, 999)
ENCODINGS = ("",) * 8 + (
    "gzip",
    "gzip",
    "identity",
    "GZIP ",
    "br",
    "deflate",
    "zstd",
    "gzip, gzip",
    "gzip\x0b",
    "\xff",
    "x" * 300,
)
PHRASES = ("OK", "", "Gone\tfor\tgood")
RETRY_AFTER: tuple[str, ...] = ("",) * 4 + (
    "5",
    "-5",
    "0",
    "1e9",
    "9" * 400,
    "nan",
    "Wed, 21 Oct 2026 07:28:00 GMT",
    "Wed, 99 Foo 99999 99:99:99",
)
RETRY_AFTER += (
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "\u0661".encode().decode("latin-1"),
    ";" * 200,
)


SWARMS = [
    gzip.compress(b'{"reviews":[' + b"{}," * number + b'{}],"accounts":[' + b"0," * number + b"0]}", 1)
    for number in (1_500, 150_000, 3_000_000)
]
"""Bombs of tiny values: over the number of items, of values, of bytes."""


@dataclass(frozen=True)
class Hostile:
    """One call and the bytes that answer it."""

    name: str
    call: Call
    status: int
    answer: Answer


async def good_bodies() -> dict[str, list[bytes]]:
    """Real ones by call: pages of the simulator, and errors that users of Google have published."""
    errors = [body if isinstance(body, bytes) else json.dumps(body).encode() for _, body, _, _ in TABLE if body]
    errors.append(b'{"error":"invalid_grant","error_description":"Token has been expired or revoked."}')
    world = Catalogue(accounts=3, locations=4, reviews=12)
    paths = {
        "accounts": "/v1/accounts?prettyPrint=false",
        "locations": f"/v1/{world.account_name(0)}/locations?prettyPrint=false&readMask=name,title,metadata,openInfo",
        "reviews": f"/v4/{world.account_name(0)}/{world.location_name(0)}/reviews?prettyPrint=false&pageSize=5",
    }
    async with running_simulator(world) as google, aiohttp.ClientSession(google.url) as session:
        pages: dict[str, list[bytes]] = {}
        for name, path in paths.items():
            async with session.get(path, headers={"Authorization": f"Bearer {TOKEN}"}) as answer:
                assert answer.status == 200, await answer.text()
                pages[name] = [await answer.read()]
    pages["tokeninfo"] = [b'{"aud":"123456789012-abc.apps.googleusercontent.com","expires_in":"3599","scope":"s"}']
    pages["token"] = [b'{"access_token":"ya29.fresh","expires_in":3599,"refresh_token":"1//new","token_type":"Bearer"}']
    return {name: [*pages[name.partition(",")[0]] * 4, *errors] for name in CALLS}


def hostile(random: Random, good: Mapping[str, Sequence[bytes]]) -> Hostile:
    name = random.choice(list(CALLS))
    status = random.choice(STATUSES)
    body = malformed(random, good[name])
    encoding, body = _packed(random, body)
    lines = [f"HTTP/1.1 {status} {random.choice(PHRASES)}"]
    # Or the next call may go out on a connection that is being closed, and meet none of this.
    lines += ["Connection: close"] if random.random() < 0.97 else []
    lines += [
        f"Content-Type: {random.choice(('application/json', 'text/html', '', 'application/json; charset=utf-7'))}"
    ]
    lines += [f"Content-Encoding: {encoding}"] if encoding else []
    lines += [f"Retry-After: {wait}"] if (wait := random.choice(RETRY_AFTER)) else []
    lines += ["Location: http://127.0.0.1:9/elsewhere"] if status == 302 else []
    framing, body = _framed(random, body)
    head = "\r\n".join([*lines, framing]).encode("latin-1")
    return Hostile(name, CALLS[name], status, raw(head + b"\r\n\r\n" + body, then_close=True))


def _packed(random: Random, body: bytes) -> tuple[str, bytes]:
    """A Content-Encoding, and a body that is packed that way, or is not."""
    encoding = random.choice(ENCODINGS)
    if "gzip" not in encoding.lower() or random.random() < 0.1:
        return encoding, zlib.compress(body) if encoding == "deflate" else body
    packed = gzip.compress(body, 1)
    damage = random.random()
    if damage < 0.2:
        return encoding, packed[: random.randint(0, len(packed))]
    if damage < 0.3:
        return encoding, packed + random.choice((packed, b"\x00" * 9, b"more"))
    if damage < 0.4:
        return encoding, gzip.compress(packed, 1)
    if damage < 0.46:
        return encoding, random.choice(SWARMS)
    return encoding, packed


def _framed(random: Random, body: bytes) -> tuple[str, bytes]:
    """How the body's length is told: rightly, in chunks, by its end, or wrongly."""
    kind = random.random()
    if kind < 0.6:
        return f"Content-Length: {len(body)}", body
    if kind < 0.75:
        half = len(body) // 2
        pieces = [piece for piece in (body[:half], body[half:]) if piece]
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
        return "Transfer-Encoding: chunked", chunks + random.choice((b"0\r\n\r\n", b"", b"0\r\n", b"zz\r\n"))
    if kind < 0.9:
        return "Connection: close", body
    return random.choice(
        ("Content-Length: 7", "Content-Length: 99999", "Content-Length: -1", "Content-Length: 1e3")
    ), body
