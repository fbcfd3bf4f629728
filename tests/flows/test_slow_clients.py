"""Clients that are slow, silent, or too many at a real process: let go in time, and nobody else waits for them.

API4:2023 (unrestricted resource consumption), ASVS 5.0 V15 and V13 (availability, bounded resources).
"""

import asyncio
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import pytest

from app.api.body import READ_SECONDS
from app.api.stream import SEND_SECONDS
from app.edge.bounds import LOOK_SECONDS, Bounds
from tests.support.raw import answers_in, connect, converse, listen, reset
from tests.support.service import Service, eventually, site

pytestmark = pytest.mark.alone

KEY = "a-key-for-these-tests-alone"
POST = b"POST /api/v1/review-fetch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-API-Key: " + KEY.encode()
POST += b"\r\n"
GET = b"GET /livez HTTP/1.1\r\nHost: a\r\n"

BOUNDS = Bounds(connections=1)
LATE_SECONDS = LOOK_SECONDS + 1.5
"""The clock looks once a second, and the machine of the tests is busy."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with site(tmp_path_factory.mktemp("slow"), "", API_KEYS=KEY) as place:
        started = place.serve()
        started.headers = {"X-API-Key": KEY}
        yield started
        assert "Traceback" not in started.log.read_text()


class Slow(NamedTuple):
    """`drips` follow `sent`, a byte each quarter of a second; then the connection ends within `seconds`."""

    sent: bytes
    drips: bytes
    seconds: float
    statuses: list[int]


SLOW: dict[str, Slow] = {
    "says nothing": Slow(b"", b"", BOUNDS.head_seconds, []),
    "sends a head by bytes": Slow(GET, b"X-Slow: " + b"a" * 1_000, BOUNDS.head_seconds, [408]),
    "stops in a head": Slow(GET, b"", BOUNDS.head_seconds, [408]),
    "sends line ends": Slow(b"\r\n", b"\r\n" * 500, BOUNDS.head_seconds, []),
    "keeps a connection": Slow(GET + b"\r\n", b"", BOUNDS.head_seconds, [200]),
    "keeps a connection with line ends": Slow(GET + b"\r\n", b"\r\n" * 500, BOUNDS.head_seconds, [200]),
    "stops in the head of a second request": Slow(GET + b"\r\n" + GET, b"", BOUNDS.head_seconds, [200, 408]),
    "stops in a body": Slow(POST + b"Content-Length: 50\r\n\r\n{", b"", 20.0, [408]),
    "sends a body by bytes": Slow(POST + b"Content-Length: 500\r\n\r\n", b" " * 500, 20.0, [408]),
    "sends chunks by bytes": Slow(POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 200, 20.0, [408]),
    "goes on after the answer": Slow(GET + b"Content-Length: 500\r\n\r\n", b" " * 500, BOUNDS.body_seconds, [200]),
}


async def _until_let_go(service: Service, slow: Slow) -> tuple[float, bytes]:
    """Seconds until the server ended the connection, and what it said."""
    reader, writer = await asyncio.open_connection(*service.address)
    began = time.monotonic()
    writer.write(slow.sent)
    dripping = asyncio.create_task(_drip(writer, slow.drips))
    try:
        async with asyncio.timeout(60):
            said = await reader.read()
    except ConnectionError:
        said = b""
    took = time.monotonic() - began
    dripping.cancel()
    writer.transport.abort()
    return took, said


async def _drip(writer: asyncio.StreamWriter, drips: bytes) -> None:
    for number in range(len(drips)):
        writer.write(drips[number : number + 1])
        await asyncio.sleep(0.25)


async def _longest_wait(service: Service, until: "asyncio.Future[list[tuple[float, bytes]]]") -> float:
    """Of a client that asks one question after another meanwhile."""
    longest = 0.0
    while not until.done():
        began = time.monotonic()
        assert (await asyncio.to_thread(service.get, "/api/v1/review-fetch")).status == 200
        longest = max(longest, time.monotonic() - began)
        await asyncio.wait([until], timeout=0.2)
    return longest


@pytest.mark.timeout(90)
async def test_every_slow_client_is_let_go_in_time_and_others_do_not_wait(service: Service) -> None:
    """All at once: as long as the slowest."""
    clients = asyncio.ensure_future(asyncio.gather(*(_until_let_go(service, slow) for slow in SLOW.values())))
    longest = await _longest_wait(service, clients)
    told = {}
    for (name, slow), (took, said) in zip(SLOW.items(), clients.result(), strict=True):
        statuses = [answer.status for answer in answers_in(said)]
        if took > slow.seconds + LATE_SECONDS or statuses != slow.statuses:
            told[name] = (round(took, 1), statuses)
    assert told == {}
    assert longest < 2.0


def test_the_settings_of_the_body_fit_those_of_the_connection() -> None:
    assert BOUNDS.body_seconds > READ_SECONDS
    assert BOUNDS.stalled_seconds >= SEND_SECONDS


def test_a_crowd_of_silent_clients_makes_room_within_a_moment(tmp_path: Path) -> None:
    with site(tmp_path, "", API_KEYS=KEY, MAX_CONNECTIONS="40") as place:
        service = place.serve()
        silent = [connect(service.address) for _ in range(50)]
        told = [listen(connection) for connection in silent[40:]]
        assert [one.statuses for one in told] == [[503]] * 10
        assert told[0].answers[0].headers["retry-after"] == "1"
        assert b"connections-busy" in told[0].received
        eventually(lambda: converse(service.address, GET + b"Connection: close\r\n\r\n").statuses == [200], 5, "room")
        assert [listen(connection).answers for connection in silent[:40]] == [[]] * 40
        for connection in silent:
            connection.close()


def test_without_that_many_free_files_fewer_connections_are_taken(tmp_path: Path) -> None:
    """EMFILE would keep everybody out, and the store from its files."""
    with site(tmp_path, "", API_KEYS=KEY) as place:
        service = place.serve(files=200)
        silent = [connect(service.address) for _ in range(150)]
        refused = [one for one in map(listen, silent) if one.statuses == [503]]
        assert len(refused) >= 50
        eventually(lambda: converse(service.address, GET + b"Connection: close\r\n\r\n").statuses == [200], 5, "room")
        for connection in silent:
            connection.close()


def test_clients_that_never_read_cost_bounded_memory_and_nobody_else_waits(service: Service) -> None:
    """Each may have as many requests waiting as a connection may queue, and one answer that it does not take."""
    job_id = service.submit("ya29.token-for-slow-clients")
    assert service.job_ended(job_id)["status"] == "completed"
    megabyte = f"GET /api/v1/review-fetch/{job_id}/reviews?limit=1000 HTTP/1.1\r\nHost: a\r\nX-API-Key: {KEY}\r\n\r\n"
    sockets, before = service.open_sockets(), service.resident_mb()
    readers = [connect(service.address) for _ in range(20)]
    for connection in readers:
        connection.sendall(b"".join(repeat(megabyte.encode(), 16)))
    began = time.monotonic()
    for _ in range(20):
        assert service.get("/api/v1/review-fetch").status == 200
    assert time.monotonic() - began < 10
    assert service.resident_mb() - before < 120
    for connection in readers:
        reset(connection)
    eventually(lambda: service.open_sockets() <= sockets + 2, 20, "the connections are closed")
    assert service.get("/").status == 200
