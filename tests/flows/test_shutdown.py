"""SIGTERM: the pages in flight settle, what is held goes back, and the next process goes on without a loss."""

import http.client
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.service import JOBS, Service, Site, arrived, site, wait_for
from tests.support.simulator import control, simulator_process
from tests.support.verdict import (
    assert_each_review_once,
    assert_only_pages_in_flight_were_lost,
    calls_of,
    ideal_calls,
    lost_in_kills,
)

pytestmark = pytest.mark.alone

TOKEN = "ya29.sim-accounts3-locations8-reviews300-seed5"
"""148 pages."""

EXPORTED = "ya29.sim-accounts1-locations4-reviews5000-seed8"
"""About 20 MB as NDJSON: more than the buffers of a connection hold."""

PROMPT_SECONDS = 6.0
"""Without a Google that hangs, no more than a page and the requests under way are waited for."""


def test_a_stop_under_load_costs_no_page_and_no_attempt(tmp_path: Path) -> None:
    with simulator_process() as google, site(tmp_path, google) as place:
        control(google, "POST", "faults", {"fault": "latency", "seconds": 0.02})
        service = place.start()
        tokens = {service.submit(token): token for token in (TOKEN, f"{TOKEN}-b")}
        wait_for(google, "arrived", 60)
        service.terminate(PROMPT_SECONDS)
        assert _open_tasks(place) <= {("waiting", 0, 0), ("released", 0, 0)}
        after = place.start()
        for job_id, token in tokens.items():
            assert_each_review_once(after, google, token, after.job_ended(job_id))
            assert len(calls_of(google, token)) == ideal_calls(google, token)


def test_a_stop_waits_neither_for_a_google_that_hangs_nor_for_slow_clients(tmp_path: Path) -> None:
    with simulator_process() as google, site(tmp_path, google) as place:
        service = place.start()
        exported = service.submit(EXPORTED)
        service.job_ended(exported)
        control(google, "POST", "faults", {"fault": "hang", "api": "reviews", "after": 9})
        before = arrived(google)
        job_id = service.submit(TOKEN)
        with _slow_clients(service, exported):
            wait_for(google, "fault:hang", 4)
            service.terminate()
        assert _open_tasks(place) <= {("waiting", 0, 0), ("released", 0, 0)}
        stopped = arrived(google)
        control(google, "DELETE", "faults")
        after = place.start()
        assert_each_review_once(after, google, TOKEN, after.job_ended(job_id))
        calls = [call for call in calls_of(google, TOKEN) if call["sequence"] > before]
        assert lost_in_kills(calls, [stopped]) == {stopped: 4}
        assert len(calls) == ideal_calls(google, TOKEN) + 4


@pytest.mark.nightly
def test_a_stop_ends_in_time_though_the_store_is_away(tmp_path: Path) -> None:
    """What could not be settled or given back is taken up again by the next process, and only that is read again."""
    with simulator_process() as google, site(tmp_path, google) as place:
        control(google, "POST", "faults", {"fault": "latency", "seconds": 0.02})
        service = place.start()
        job_id = service.submit(TOKEN)
        wait_for(google, "arrived", 60)
        with closing(sqlite3.connect(place.database, isolation_level=None, timeout=30)) as thief:
            thief.execute("BEGIN EXCLUSIVE")
            with _slow_clients(service, job_id):
                service.terminate()
        stopped = arrived(google)
        after = place.start()
        assert_each_review_once(after, google, TOKEN, after.job_ended(job_id))
        assert_only_pages_in_flight_were_lost(google, TOKEN, [stopped], 4)


@contextmanager
def _slow_clients(service: Service, exported: str) -> Iterator[None]:
    """One idle with a connection kept alive, one amid its headers, one amid its body, one that reads nothing."""
    idle = http.client.HTTPConnection(*service.address)
    with closing(idle), _sent(service, "GET /livez HT"), _sent(service, _HALF_A_BODY), _not_reading(service, exported):
        idle.request("GET", "/livez")
        idle.getresponse().read()
        yield


_HALF_A_BODY = (
    f"POST {JOBS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n{{"
)


def _sent(service: Service, text: str) -> socket.socket:
    connection = socket.create_connection(service.address)
    connection.sendall(text.encode())
    return connection


def _not_reading(service: Service, job_id: str) -> socket.socket:
    """Returns when the answer has begun."""
    connection = _sent(service, f"GET {JOBS}/{job_id}/reviews?format=ndjson HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def _open_tasks(place: Site) -> set[tuple[str, int, int]]:
    """Status, attempts and crashes of the tasks that are not done."""
    with closing(sqlite3.connect(place.database)) as store:
        return set(store.execute("SELECT status, attempt, crashes FROM tasks WHERE status <> 'done'"))
