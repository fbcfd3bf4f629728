"""The disk of a SQLite store is full for a while: docs/runbooks.md, "A disk is full"."""

from pathlib import Path

import pytest

from tests.support.runbooks import follow
from tests.support.service import eventually, site, upstream, wait_for
from tests.support.simulator import control, simulator_process
from tests.support.small_disk import started_on_small_disk
from tests.support.transcripts import make_checkout

TOKEN = "ya29.sim-accounts1-locations6-reviews200"


@pytest.mark.timeout(180)
def test_a_full_disk_takes_no_job_and_loses_none_and_nobody_has_to_restart(tmp_path: Path) -> None:
    with simulator_process() as google, site(make_checkout(tmp_path), google) as place:
        control(google, "PUT", "faults", {"rules": [{"fault": "latency", "seconds": 0.5}]})
        service, disk = started_on_small_disk(place)
        job_id = service.submit(TOKEN)
        wait_for(google, "answered", 6)
        disk.fill()
        eventually(lambda: service.get("/readyz").status == 503, 10, "a readiness that tells")
        assert "full" in service.get("/readyz").json()["checks"]["store"]
        refused = service.post(TOKEN)
        assert refused.status == 503, refused
        assert int(refused.headers["retry-after"]) >= 1
        assert service.get("/livez").status == 200
        examined = follow("A disk is full", tmp_path, place.settings)
        assert "disk" in examined[-1]
        disk.empty()
        control(google, "PUT", "faults", {"rules": []})
        eventually(lambda: service.get("/readyz").status == 200, 30, "a green readiness")
        for one in (job_id, service.submit(TOKEN)):
            job = service.job_ended(one)
            assert job["status"] == "completed", job
            assert service.exported(one) == upstream(google, TOKEN)
        service.terminate()
