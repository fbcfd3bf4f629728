"""Resident memory of the real service does not grow with the number of reviews."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.support.service import Service, eventually, site
from tests.support.simulator import simulator_process

pytestmark = pytest.mark.alone

MOST_MB = 150.0
MOST_GROWTH = 1.15
"""Caches of pages and statements fill until about 100,000 reviews; from there on nothing may grow."""

NIGHTLY_DISK_GB = 16
"""Ten million reviews are about 10 GB; the write-ahead log and the file system want room too."""

PATIENCE_SECONDS = 3600.0


@pytest.mark.timeout(600)
def test_memory_is_flat_from_a_hundred_thousand_reviews_on(tmp_path: Path) -> None:
    _is_flat(tmp_path, locations=80, marks=(100_000, 200_000, 400_000))


@pytest.mark.nightly
@pytest.mark.timeout(PATIENCE_SECONDS)
def test_memory_is_flat_up_to_ten_million_reviews(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free / 1e9
    assert free >= NIGHTLY_DISK_GB, f"{free:.0f} GB are free at {tmp_path}, {NIGHTLY_DISK_GB} are needed: set TMPDIR"
    _is_flat(tmp_path, locations=2_000, marks=(100_000, 1_000_000, 10_000_000))


def _is_flat(directory: Path, *, locations: int, marks: tuple[int, ...]) -> None:
    """One job of `locations` times 5,000 reviews; memory is read at each mark and at the end."""
    options = ("--locations", str(locations), "--reviews", "5000", "--page-cache-bytes", "0", "--ledger-calls", "1000")
    with simulator_process(*options) as google, site(directory, google, WORKER_CONCURRENCY="16") as place:
        service = place.start()
        job_id = service.submit("ya29.memory")
        samples = {reviews: _sample(service, job_id, reviews) for reviews in marks}
        job = service.job_ended(job_id)
        peak = service.peak_resident_mb()
        sys.stdout.write(f"\nresident MB by reviews: {samples}, peak {peak:.0f}\n")
        assert job["status"] == "completed"
        assert job["progress"]["reviews"]["fetched"] == locations * 5_000 == marks[-1]
        assert peak < MOST_MB
        assert max(samples.values()) <= MOST_GROWTH * samples[marks[0]]


def _sample(service: Service, job_id: str, reviews: int) -> float:
    """Resident memory once the job has fetched so many."""

    def reached() -> bool:
        return int(service.job(job_id)["progress"]["reviews"]["fetched"]) >= reviews

    assert eventually(reached, PATIENCE_SECONDS, f"{reviews:,} reviews", every=0.25)
    return round(service.resident_mb(), 1)
