"""Clients of a real process that leave before their answer: errors of ours, as the objectives of operating.md count."""

import json
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.raw import connect, listen, reset
from tests.support.service import JOBS, Service, eventually, site

BODY = json.dumps({"access_token": "ya29.token-of-a-client-that-leaves"}).encode()
HEAD = (
    f"POST {JOBS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
    "Expect: 100-continue\r\n\r\n"
).encode()


def posts(service: Service) -> dict[str, float]:
    """Class of the status → submissions that ended with it."""
    found = {}
    for line in service.get("/metrics").body.decode().splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("review_fetcher_http_requests_total{") and f'method="POST",route="{JOBS}"' in name:
            found[name.partition('status="')[2].partition('"')[0]] = float(value)
    return found


def leave(service: Service, body: bytes, *, by_reset: bool = False) -> None:
    """Send it once the service asks for it, and end the connection before anything else comes back."""
    with connect(service.address) as connection:
        connection.sendall(HEAD)
        assert connection.recv(65536).startswith(b"HTTP/1.1 100"), "the application reads the body"
        connection.sendall(body)
        if by_reset:
            reset(connection)
            return
        connection.shutdown(socket.SHUT_WR)
        assert listen(connection).answers == []


def test_submissions_whose_clients_left_count_as_gone_and_not_as_accepted(tmp_path: Path) -> None:
    with site(tmp_path, "") as place:
        service = place.start()
        with closing(sqlite3.connect(place.database, isolation_level=None, timeout=30)) as thief:
            thief.execute("BEGIN EXCLUSIVE")  # so that no job can be stored
            leave(service, BODY, by_reset=True)
            leave(service, BODY)
            leave(service, BODY[:-1])
        eventually(lambda: sum(posts(service).values()) == 3, 30, "all three have ended")
        assert posts(service) == {"gone": 3, "5xx": 0}
        assert service.post("ya29.token-of-a-client-that-stays").status == 202
        assert posts(service) == {"gone": 3, "2xx": 1, "5xx": 0}
        service.terminate()
        assert service.log.read_text().count(f"route={JOBS} status=None") == 3
