"""What no HTTP library would send, to a real process: one clear answer or none, and nothing is smuggled.

ASVS 5.0 V4 (HTTP message structure), RFC 9112 §6.3 (length of a message), §11.2 (request smuggling), API4:2023.
"""

import json
import re
from collections.abc import Iterator
from itertools import count

import pytest

from tests.support.raw import RawAnswer, connect, converse, listen, reset
from tests.support.service import Service, eventually, site

KEY = "a-key-for-these-tests-alone"

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST /api/v1/review-fetch HTTP/1.1\r\nHost: a\r\nX-API-Key: " + KEY.encode()
POST += b"\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
BODY = b'{"access_token": "ya29.token-for-raw-sockets"}'

_numbers = count(1)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with site(tmp_path_factory.mktemp("raw"), "", API_KEYS=KEY, LOG_LEVEL="DEBUG") as place:
        started = place.serve()
        started.headers = {"X-API-Key": KEY}
        yield started
        logged = started.log.read_text()
        assert "Traceback" not in logged
        assert "request.failed" not in logged


class Smuggled:
    """A request hidden behind another, which the log would show."""

    def __init__(self) -> None:
        self.mark = f"smuggled-{next(_numbers)}"
        self.bytes = GET + f"X-Request-ID: {self.mark}\r\n\r\n".encode()

    def was_answered(self, service: Service) -> bool:
        """Lines are written in order, so one request more makes sure."""
        after = f"after-{self.mark}"
        converse(service.address, GET + f"X-Request-ID: {after}\r\nConnection: close\r\n\r\n".encode())
        eventually(lambda: after in service.log.read_text(), 10, "the line of the next request")
        return f"request_id={self.mark}" in re.sub(r"\x1b\[[0-9;]*m", "", service.log.read_text())


def refused(answer: RawAnswer) -> str:
    """The machine's word, of an answer that is one of ours and ends the connection."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"])
    assert answer.headers["server"] is None
    told = json.loads(answer.body)
    assert told["status"] == answer.status
    return str(told["type"]).removeprefix("urn:review-fetcher:problem:")


HOSTILE: dict[str, tuple[bytes, int, str]] = {
    "both lengths": (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "malformed"),
    "both lengths, the other way": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        400,
        "malformed",
    ),
    "two lengths": (POST + b"Content-Length: 0\r\nContent-Length: 46\r\n\r\n", 400, "malformed"),
    "the same length twice": (POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", 400, "malformed"),
    "a list of lengths": (POST + b"Content-Length: 0, 0\r\n\r\n", 400, "malformed"),
    "a length with a sign": (POST + b"Content-Length: +0\r\n\r\n", 400, "malformed"),
    "a negative length": (POST + b"Content-Length: -1\r\n\r\n", 400, "malformed"),
    "a length in hexadecimal": (POST + b"Content-Length: 0x0\r\n\r\n", 400, "malformed"),
    "a length with a space in it": (POST + b"Content-Length: 0 0\r\n\r\n", 400, "malformed"),
    "no length": (POST + b"Content-Length:\r\n\r\n", 400, "malformed"),
    "a length beyond 64 bits": (POST + b"Content-Length: 18446744073709551616\r\n\r\n", 400, "malformed"),
    "an unknown coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501, "transfer-coding-unknown"),
    "a coding before chunked": (
        POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
        "transfer-coding-unknown",
    ),
    "a coding after chunked": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400, "malformed"),
    "codings in two lines": (
        POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        501,
        "transfer-coding-unknown",
    ),
    "chunked twice": (
        POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "malformed",
    ),
    "a coding behind a vertical tab": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400, "malformed"),
    "a coding in quotes": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n', 501, "transfer-coding-unknown"),
    "an empty coding": (POST + b"Transfer-Encoding:\r\n\r\n0\r\n\r\n", 400, "malformed"),
    "a coding in HTTP/1.0": (
        CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n",
        400,
        "malformed",
    ),
    "a space before the colon": (POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400, "malformed"),
    "a space in a name": (GET + b"Content Length: 5\r\n\r\n", 400, "malformed"),
    "an empty name": (GET + b": 5\r\n\r\n", 400, "malformed"),
    "a folded line": (POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", 400, "malformed"),
    "a folded value": (GET + b"X-Folded: one\r\n\ttwo\r\n\r\n", 400, "malformed"),
    "a folded first line": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "malformed"),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: a\n\n", 400, "malformed"),
    "a bare line feed after a header": (GET + b"X-One: 1\nX-Two: 2\r\n\r\n", 400, "malformed"),
    "a bare line feed at the end": (GET + b"\n", 400, "malformed"),
    "a bare carriage return": (GET + b"X-One: 1\rX-Two: 2\r\n\r\n", 400, "malformed"),
    "NUL in a value": (GET + b"X-Nul: a\0b\r\n\r\n", 400, "malformed"),
    "NUL in a name": (GET + b"X\0Nul: a\r\n\r\n", 400, "malformed"),
    "a control character in a value": (GET + b"X-Bell: \x07\r\n\r\n", 400, "malformed"),
    "NUL in the path": (b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed"),
    "raw bytes in the path": (b"GET /\xc0\xae HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed"),
    "a space in the path": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed"),
    "no path": (b"GET  HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed"),
    "only a query": (b"GET ?a=b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed"),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400, "malformed"),
    "two Hosts": (GET + b"Host: b\r\n\r\n", 400, "malformed"),
    "an unknown method": (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed"),
    "a method in small letters": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed"),
    "a tunnel": (b"CONNECT internal:22 HTTP/1.1\r\nHost: internal:22\r\n\r\n", 400, "malformed"),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505, "version-unknown"),
    "HTTP/2 in plain": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "malformed"),
    "HTTP/2 by name": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version-unknown"),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400, "malformed"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed"),
    "another protocol": (b"SSH-2.0-client\r\n", 400, "malformed"),
    "a chunk beyond 64 bits": (CHUNKED + b"10000000000000000\r\n", 400, "malformed"),
    "a chunk that wraps around": (CHUNKED + b"1000000000000002E\r\n" + BODY + b"\r\n0\r\n\r\n", 400, "malformed"),
    "a negative chunk": (CHUNKED + b"-1\r\n", 400, "malformed"),
    "a chunk in C": (CHUNKED + b"0x2e\r\n" + BODY + b"\r\n0\r\n\r\n", 400, "malformed"),
    "a chunk with bare line feeds": (CHUNKED + b"2e\n" + BODY + b"\n0\n\n", 400, "malformed"),
    "a chunk longer than it says": (CHUNKED + b"2\r\n" + BODY + b"\r\n0\r\n\r\n", 400, "malformed"),
    "a line feed in an extension": (CHUNKED + b"2e;a\nb\r\n" + BODY + b"\r\n0\r\n\r\n", 400, "malformed"),
    "a length in a trailer": (CHUNKED + b"2e\r\n" + BODY + b"\r\n0\r\nContent-Length: 9\r\n\r\n", 400, "malformed"),
    "an absurd path": (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "target-too-long"),
    "an absurd query": (b"GET /?" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "target-too-long"),
    "an absurd header": (GET + b"X-Long: " + b"a" * 17_000 + b"\r\n\r\n", 431, "head-too-large"),
    "an absurd name": (GET + b"X" * 17_000 + b": a\r\n\r\n", 431, "head-too-large"),
    "absurdly many headers": (GET + b"X: 1\r\n" * 101 + b"\r\n", 431, "head-too-large"),
}


@pytest.mark.parametrize(("request_", "status", "kind"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_request_gets_one_answer_and_nothing_behind_it_is_read(
    service: Service, request_: bytes, status: int, kind: str
) -> None:
    smuggled = Smuggled()
    for parts in ([request_ + smuggled.bytes], [request_, smuggled.bytes]):
        told = converse(service.address, *parts)
        assert (told.statuses, told.ended) == ([status], True)
        assert refused(told.answers[0]) == kind
    assert not smuggled.was_answered(service)


def test_what_stands_before_an_error_is_answered_in_its_order(service: Service) -> None:
    """An answer that overtakes another would be taken for it."""
    good = GET + b"X-API-Key: " + KEY.encode() + b"\r\n\r\n"
    smuggled = Smuggled()
    told = converse(service.address, good * 3 + GET + b"X-Bad : 1\r\n\r\n" + smuggled.bytes)
    assert (told.statuses, told.ended) == ([200, 200, 200, 400], True)
    assert not smuggled.was_answered(service)


def test_a_body_that_turns_bad_behind_another_request_is_answered_after_that(service: Service) -> None:
    good = GET + b"X-API-Key: " + KEY.encode() + b"\r\n\r\n"
    told = converse(service.address, good + CHUNKED + b"zz\r\n")
    assert (told.statuses, told.ended) == ([200, 400], True)


def test_requests_beyond_what_a_connection_may_queue_are_refused_after_the_others(service: Service) -> None:
    told = converse(service.address, (GET + b"\r\n") * 1_000)
    assert told.statuses == [401] * 16 + [503]
    assert refused(told.answers[-1]) == "pipelined-too-far"
    assert told.answers[-1].headers["retry-after"] == "1"


def test_a_trailer_is_no_header(service: Service) -> None:
    """RFC 9110 §6.5.1: a proxy that takes a header out of the head does not look for it behind the body."""
    keyless = CHUNKED.replace(b"X-API-Key: " + KEY.encode() + b"\r\n", b"")
    trailer = b"2e\r\n" + BODY + b"\r\n0\r\nX-API-Key: " + KEY.encode() + b"\r\n\r\n"
    told = converse(service.address, keyless + trailer, b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert told.statuses == [401, 200]


def test_an_offer_to_speak_another_protocol_is_declined_and_nothing_behind_it_is_read(service: Service) -> None:
    smuggled = Smuggled()
    for protocol in (b"h2c", b"websocket", b"TLS/1.0"):
        told = converse(
            service.address, GET + b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n", smuggled.bytes
        )
        assert (told.statuses, told.ended) == ([401], True)
    assert not smuggled.was_answered(service)


def test_a_body_that_nobody_asked_for_is_not_taken_for_a_request(service: Service) -> None:
    smuggled = Smuggled()
    length = f"Content-Length: {len(smuggled.bytes)}\r\n\r\n".encode()
    told = converse(service.address, GET + length + smuggled.bytes + GET + b"Connection: close\r\n\r\n")
    assert told.statuses == [401, 401]
    assert not smuggled.was_answered(service)


def test_after_a_body_that_is_too_large_nothing_is_read(service: Service) -> None:
    smuggled = Smuggled()
    for sent in (
        POST + b"Content-Length: 70000\r\n\r\n" + b" " * 70_000,
        CHUNKED + b"11170\r\n" + b" " * 70_000 + b"\r\n0\r\n\r\n",
    ):
        told = converse(service.address, sent + smuggled.bytes)
        assert told.ended
        assert told.statuses == [413]
    assert not smuggled.was_answered(service)


def test_a_body_cut_by_the_client_is_no_job(service: Service) -> None:
    before = len(list(service.jobs()))
    with connect(service.address) as connection:
        connection.sendall(POST + b"Content-Length: 60\r\n\r\n" + BODY)
        connection.shutdown(1)
        assert listen(connection).statuses in ([400], [])
    assert len(list(service.jobs())) == before


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        GET,
        POST + b"Content-Length: 46\r\n\r\n",
        POST + b"Content-Length: 46\r\n\r\n" + BODY[:20],
        CHUNKED + b"2e\r\n" + BODY[:20],
        (GET + b"\r\n") * 10,
        GET.replace(b" / ", b" /openapi.json ") + b"X-API-Key: " + KEY.encode() + b"\r\n\r\n",
    ],
    ids=[
        "nothing",
        "half a line",
        "half a head",
        "no body",
        "half a body",
        "half a chunk",
        "a pipeline",
        "a long answer",
    ],
)
def test_a_connection_that_is_reset_leaves_nothing_behind(service: Service, sent: bytes) -> None:
    before = service.open_sockets()
    for _ in range(50):
        connection = connect(service.address)
        connection.sendall(sent)
        reset(connection)
    eventually(lambda: service.open_sockets() <= before + 2, 20, "the connections are closed")
    assert service.get("/").status == 200


def test_what_has_no_end_costs_no_memory(service: Service) -> None:
    """CWE-770: what a client sends is kept only up to the limit."""
    before = service.resident_mb()
    beginnings = (
        b"GET /",
        GET + b"X-Long: ",
        GET + b"X",
        CHUNKED + b"0\r\nX-Long: ",
        GET + b"Content-Length: 9999999\r\n\r\n",
    )
    for beginning in beginnings:
        for _ in range(20):
            told = converse(service.address, beginning, *([b"a" * 65_536] * 64))
            assert told.ended
            assert told.statuses in ([414], [431], [413], [401], [])
    assert service.resident_mb() - before < 30
    assert service.get("/").status == 200
