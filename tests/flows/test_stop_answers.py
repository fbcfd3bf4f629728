"""Who waits for an answer when a SIGTERM comes is told what became of the request: never a bare 500."""

import re
import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.service import Answer, Service, eventually, site, wait_for
from tests.support.simulator import control, simulator_process

pytestmark = pytest.mark.alone

TOKEN = "ya29.sim-accounts1-locations1-reviews2"


def test_a_submission_that_waits_for_the_store_hears_that_nothing_is_known(tmp_path: Path) -> None:
    with simulator_process() as google, site(tmp_path, google) as place, ThreadPoolExecutor() as clients:
        service = place.start()
        with closing(sqlite3.connect(place.database, isolation_level=None, timeout=30)) as thief:
            thief.execute("BEGIN IMMEDIATE")
            posts = [clients.submit(service.post, TOKEN)]
            eventually(lambda: _taken(service) == 1, 10, "a submission whose commit waits")
            posts += [clients.submit(service.post, TOKEN) for _ in range(2)]
            eventually(lambda: _taken(service) == len(posts), 10, "submissions in the buffer")
            service.process.terminate()
            told = {_told(post) for post in posts}
        assert "store-slow" in told
        assert told <= {"store-slow", "store-unavailable"}, "the first may have heard that the file is locked"
        _assert_stopped(service)


def test_a_submission_whose_token_is_being_checked_hears_of_the_stop(tmp_path: Path) -> None:
    with simulator_process() as google, site(tmp_path, google) as place, ThreadPoolExecutor() as clients:
        control(google, "POST", "faults", {"fault": "hang", "api": "tokeninfo"})
        service = place.start(VALIDATE_TOKEN_ON_SUBMIT="true")
        post = clients.submit(service.post, TOKEN)
        wait_for(google, "fault:hang", 1)
        service.process.terminate()
        assert _told(post) == "stopping"
        assert "whether it did is not known" in post.result().json()["detail"]
        _assert_stopped(service)


def _taken(service: Service) -> int:
    """Submissions that came into the buffer, by the metrics."""
    told = service.get("/metrics").body.decode()
    enqueued = re.search(r'^review_fetcher_deque_items_total\{event="enqueued"\} (\S+)$', told, re.MULTILINE)
    return int(float(enqueued[1])) if enqueued else 0


def _told(post: "Future[Answer]") -> str:
    """The problem that the client reads."""
    answer = post.result(20)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5"), answer
    assert answer.headers["x-request-id"]
    return str(answer.json()["type"]).rpartition(":")[2]


def _assert_stopped(service: Service) -> None:
    service.process.wait(30)
    log = service.log.read_text()
    assert "service.stopped" in log
    assert "Exception in ASGI application" not in log
