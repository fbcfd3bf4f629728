"""A thousand clients follow a job at one process, a hundred of which never read."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.service import JOBS, ROOT, Service, site, wait_for
from tests.support.simulator import control, simulator_process

pytestmark = pytest.mark.alone

CLIENTS = 1_000
FROZEN = 100
FILES = 4_096

TOKEN = "ya29.sim-accounts1-locations4-reviews5000-followed"

WITHIN_SECONDS = 1.0
MOST_MB = 250.0
PATIENCE_SECONDS = 60.0


@pytest.fixture
def many_files() -> Iterator[None]:
    """A connection is a file; the processes that a test starts inherit how many they may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_a_thousand_clients_are_told_within_a_second_though_a_hundred_never_read(tmp_path: Path) -> None:
    with simulator_process() as google, site(tmp_path, google) as place:
        control(google, "POST", "faults", {"fault": "latency", "seconds": 0.05})
        control(google, "POST", "faults", {"fault": "hold", "api": "reviews", "after": 20})
        service = place.start()
        before = service.resident_mb()
        job_id = service.submit(TOKEN)
        wait_for(google, "held", 4)
        with _followers(service, job_id) as crowd:
            assert crowd.told()["told"] == "processing"
            connected = service.resident_mb()
            pauses = [_told_after(crowd, service, job_id, action) for action in ("pause", "resume") * 3]
            control(google, "DELETE", "faults")
            control(google, "POST", "release")
            control(google, "POST", "faults", {"fault": "latency", "seconds": 0.05})
            wait_for(google, "answered", 250)
            peak = service.peak_resident_mb()
            stopped = service.terminate()
            ended = crowd.told()
        _report(pauses, ended, stopped, before=before, connected=connected, peak=peak)
        assert max(*pauses, ended["slowest"]) < WITHIN_SECONDS
        assert (ended["ended"], ended["done"]) == (CLIENTS - FROZEN, 0)
        assert peak < MOST_MB
        assert "Traceback" not in service.log.read_text()


def _report(pauses: list[float], ended: dict[str, Any], stopped: float, **resident_mb: float) -> None:
    memory = {name: round(megabytes) for name, megabytes in resident_mb.items()}
    sys.stdout.write(
        f"\nlast of {CLIENTS - FROZEN} clients {max(pauses):.2f} s after a command, {ended['slowest']:.2f} s after a "
        f"page; {ended['events']} events, {ended['heartbeats']} heartbeats; resident MB {memory}; "
        f"stopped in {stopped:.1f} s\n"
    )


class _Crowd:
    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the crowd broke off"
        return dict(json.loads(line))


@contextmanager
def _followers(service: Service, job_id: str) -> Iterator[_Crowd]:
    host, port = service.address
    command = [sys.executable, "-m", "tests.support.followers", host, str(port), job_id, str(CLIENTS), str(FROZEN)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            yield _Crowd(process)
            process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()


def _told_after(crowd: _Crowd, service: Service, job_id: str, action: str) -> float:
    """Seconds from the command's arrival until the last client had been told."""
    began = time.time()
    assert service.request("POST", f"{JOBS}/{job_id}/{action}").status == 200
    told = crowd.told()
    assert told["told"] == {"pause": "paused", "resume": "processing"}[action]
    return float(told["last"]) - began
