"""A crowd of POSTs: each is answered 202 or told to come back, every 202 ends, and memory and quota hold."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.crowd import UNTIL_INPUT_ENDS
from tests.support.quota import worst_bucket_excess
from tests.support.service import ROOT, Service, Site, eventually, ledger, site, wait_for
from tests.support.simulator import simulator_process

pytestmark = pytest.mark.alone

TINY = "ya29.sim-accounts1-locations1-reviews1-crowd"
"""A world of one review: its job takes four calls."""

EMPTY = "ya29.sim-accounts0-crowd"
"""A world without accounts: two calls, so that thousands of jobs end while a test waits."""

MOST_MB = 250.0
UNREADY_SECONDS = 10.0
PATIENCE_SECONDS = 240.0


@pytest.mark.timeout(300)
def test_ten_thousand_posts_at_once_are_taken_or_told_to_come_back(tmp_path: Path) -> None:
    """More connections than the buffer has room, so that some are told."""
    with simulator_process() as google, site(tmp_path, google, DEQUE_MAX_SIZE="50", WORKER_CONCURRENCY="16") as place:
        service = place.start()
        crowd = _told(_crowd(service, EMPTY, 10_000, connections=200))
        assert crowd["statuses"].keys() == {"202", "429"}
        assert sum(crowd["statuses"].values()) == 10_000
        assert crowd["retry_after"] == ["1"]
        _every_202_ends(place, service, crowd, reviews=0)
        _report(crowd, service)
        assert service.peak_resident_mb() < MOST_MB


@pytest.mark.nightly
@pytest.mark.timeout(1_800)
def test_ten_thousand_jobs_are_accepted_at_once_and_each_fetches_its_review(tmp_path: Path) -> None:
    with simulator_process() as google, site(tmp_path, google, WORKER_CONCURRENCY="16") as place:
        service = place.start()
        crowd = _told(_crowd(service, TINY, 10_000, connections=64))
        assert crowd["statuses"] == {"202": 10_000}
        _every_202_ends(place, service, crowd)
        _report(crowd, service)
        assert service.peak_resident_mb() < MOST_MB


@pytest.mark.timeout(300)
def test_a_burst_while_the_store_is_away(tmp_path: Path) -> None:
    """Another connection keeps SQLite's write lock: 503 with Retry-After, red within ten seconds, green by itself."""
    with simulator_process() as google, site(tmp_path, google) as place:
        service = place.start()
        posting = _crowd(service, EMPTY, UNTIL_INPUT_ENDS, connections=32)
        wait_for(google, "arrived:accounts", 1)
        with _lock(place.database):
            refused = service.post(EMPTY)
            assert (refused.status, refused.headers["retry-after"]) == (503, "5")
            eventually(lambda: service.get("/readyz").status == 503, UNREADY_SECONDS, "red /readyz")
            assert service.get("/livez").status == 200
        eventually(lambda: service.get("/readyz").status == 200, UNREADY_SECONDS, "green /readyz")
        crowd = _told(posting)
        assert crowd["statuses"].keys() == {"202", "503"}
        assert crowd["retry_after"] == ["5"]
        _every_202_ends(place, service, crowd, reviews=0)


@pytest.mark.parametrize("posts", [50, pytest.param(10_000, marks=[pytest.mark.nightly, pytest.mark.timeout(1800)])])
def test_a_burst_keeps_the_quota(posts: int, tmp_path: Path) -> None:
    """So little that a slow machine would exceed it: seven seconds for the small burst, minutes for the large."""
    rate = max(5.0, posts / 300)
    capacity = round(2.6 * rate) + 1  # enough for the whole TRANSIT_SECONDS: each 202 of the burst delays the calls
    limits = {"RATELIMIT_TOKEN_BUCKET_CAPACITY": str(capacity), "RATELIMIT_REFILL_RATE": str(rate)}
    with simulator_process() as google, site(tmp_path, google, **limits) as place:
        service = place.start()
        crowd = _told(_crowd(service, TINY, posts, connections=64))
        assert crowd["statuses"] == {"202": posts}
        _every_202_ends(place, service, crowd)
        calls = list(ledger(google))
        for api in ("accounts", "locations", "reviews"):
            times = [call["time"] for call in calls if call["api"] == api]
            assert len(times) == posts
            assert worst_bucket_excess(times, capacity, rate) <= 0
        assert service.peak_resident_mb() < MOST_MB


def _crowd(service: Service, token: str, posts: int | str, *, connections: int) -> "subprocess.Popen[bytes]":
    """It leaves once `_told` closes its standard input, where `posts` is UNTIL_INPUT_ENDS."""
    host, port = service.address
    arguments = (host, str(port), token, str(posts), str(connections))
    command = [sys.executable, "-m", "tests.support.crowd", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _told(crowd: "subprocess.Popen[bytes]") -> dict[str, Any]:
    with crowd:
        said, _ = crowd.communicate(timeout=PATIENCE_SECONDS)
    return dict(json.loads(said))


def _every_202_ends(place: Site, service: Service, crowd: dict[str, Any], *, reviews: int = 1) -> None:
    """Completed, with its reviews; nothing else is there but what was answered 503; and no token is left."""
    ended = {job["job_id"]: job for job in service.all_ended(1_200)}
    accepted, away = set(crowd["accepted"]), crowd["statuses"].get("503", 0)
    assert crowd["broken"] == 0
    assert len(accepted) == crowd["statuses"]["202"]
    assert accepted <= ended.keys()
    assert len(ended) <= len(accepted) + away + bool(away)
    assert {(job["status"], job["progress"]["reviews"]["fetched"]) for job in ended.values()} == {
        ("completed", reviews)
    }
    with closing(sqlite3.connect(place.database)) as store:
        assert store.execute("SELECT count(*) FROM credentials").fetchone() == (0,)


@contextmanager
def _lock(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as thief:
        thief.execute("BEGIN EXCLUSIVE")
        yield
        thief.execute("ROLLBACK")


def _report(crowd: dict[str, Any], service: Service) -> None:
    seconds, peak = crowd["seconds"], service.peak_resident_mb()
    sys.stdout.write(f"\n{crowd['statuses']} in {seconds:.1f} s, peak {peak:.0f} MB\n")
