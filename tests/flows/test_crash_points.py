"""The real service, killed as by kill -9 at each named point, goes on by itself where it was.

Under `flaky` Google's overlapping pages make more calls than the ideal, so only the pages that were read again can be
judged there, not the number of calls.
"""

from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from app.crash import CrashPoint
from tests.support.service import Service, Site, arrived, retries_for, site, wait_for
from tests.support.simulator import control, simulator_process
from tests.support.verdict import (
    assert_each_review_once,
    assert_only_pages_in_flight_were_lost,
    calls_of,
    lost_in_kills,
)

TOKEN = "ya29.sim-accounts2-locations3-reviews600-seed11"
"""75 pages: 1 of accounts, 2 of locations, 72 of reviews. Each process finds enough left to die at its point."""

MOST_IN_FLIGHT = 4 + 1
"""Pages at once: four tasks of a stage; the accounts page takes tokeninfo with it."""

CHAINS = {
    CrashPoint.PAGE_READ: (1, 3, 8),
    CrashPoint.SETTLED: (1, 3, 8),
    CrashPoint.FAN_OUT: (1, 2, 2),
    CrashPoint.RETRY_WRITE: (1, 2, 3),
}
"""Point → the pass at which each process in turn dies; the job outlives them all."""

BAD_DAY = {
    CrashPoint.AFTER_JOB_COMMIT: 1,
    CrashPoint.FAN_OUT: 2,
    CrashPoint.PAGE_READ: 6,
    CrashPoint.RETRY_WRITE: 2,
    CrashPoint.SETTLED: 6,
    CrashPoint.SHUTDOWN: 2,
}
"""The shutdown comes last: what is done before its signal arrives depends on the machine."""

RECOVERY_SECONDS = 8.0
"""A lease lasts 15."""

LONGEST_DAY_SECONDS = 300.0
"""429s that come between too few good calls count as a series, and its later waits are up to 64 seconds each."""

HOLD_FOUR = {"fault": "hold", "api": "reviews", "after": 2, "times": 4}

FAILING = {"fault": "failure", "status": 503, "api": "reviews", "probability": 0.4}
"""A good Google makes nobody write a retry."""


@pytest.mark.parametrize("point", CHAINS)
def test_a_job_outlives_deaths_at(point: CrashPoint, tmp_path: Path) -> None:
    settings = retries_for(kills=len(CHAINS[point]))
    with simulator_process() as google, site(tmp_path, google, **settings) as place:
        if point is CrashPoint.RETRY_WRITE:
            control(google, "POST", "faults", FAILING)
        job_id = ""
        kills: list[int] = []
        for passes in CHAINS[point]:
            service = place.launch(CRASH_AT=f"{point}:{passes}")
            job_id = job_id or service.started().submit(TOKEN)
            service.killed_itself()
            kills.append(arrived(google))
        service = recovered(place, google)
        assert_each_review_once(service, google, TOKEN, service.job_ended(job_id))
        assert_only_pages_in_flight_were_lost(google, TOKEN, kills, MOST_IN_FLIGHT)


def test_deaths_during_the_shutdown_lose_nothing(tmp_path: Path) -> None:
    with simulator_process() as google, site(tmp_path, google) as place:
        job_id = ""
        kills: list[int] = []
        for passes in (1, 3):
            control(google, "PUT", "faults", {"rules": [HOLD_FOUR]})
            service = place.start(CRASH_AT=f"{CrashPoint.SHUTDOWN}:{passes}")
            job_id = job_id or service.submit(TOKEN)
            wait_for(google, "held", 4 * (len(kills) + 1))
            service.process.terminate()
            service.killed_itself()
            kills.append(arrived(google))
        service = recovered(place, google)
        assert_each_review_once(service, google, TOKEN, service.job_ended(job_id))
        assert_only_pages_in_flight_were_lost(google, TOKEN, kills, MOST_IN_FLIGHT)


@pytest.mark.parametrize("point", [CrashPoint.BEFORE_JOB_COMMIT, CrashPoint.AFTER_JOB_COMMIT])
def test_a_death_around_the_commit_of_a_job(point: CrashPoint, tmp_path: Path) -> None:
    """Answered 202: it exists and ends. Not answered: it is absent, or it ends too."""
    with simulator_process() as google, site(tmp_path, google) as place:
        accepted = [job_id for passes in (1, 3) for job_id in _die_at_commit(place, point, passes)]
        service = place.start()
        ended = {job["job_id"]: job for job in service.all_ended()}
        unanswered = 2 if point is CrashPoint.AFTER_JOB_COMMIT else 0
        assert ended.keys() >= set(accepted)
        assert len(ended) == len(accepted) + unanswered == 2 + unanswered
        for job in ended.values():
            assert_each_review_once(service, google, TOKEN, job)


@pytest.mark.timeout(400)
def test_on_a_bad_day_a_job_outlives_a_death_at_every_point(tmp_path: Path) -> None:
    settings = retries_for(kills=1 + len(BAD_DAY))
    with simulator_process("--faults", "flaky") as google, site(tmp_path, google, **settings) as place:
        control(google, "POST", "faults", FAILING)
        control(google, "POST", "faults", {"fault": "latency", "seconds": 0.2})  # or one start might do all the work
        (first,) = _die_at_commit(place, CrashPoint.BEFORE_JOB_COMMIT, 2)
        kills = [arrived(google)]
        for point, passes in BAD_DAY.items():
            service = place.launch(CRASH_AT=f"{point}:{passes}")
            if point is CrashPoint.SHUTDOWN:
                service.started().process.terminate()
            if point is CrashPoint.AFTER_JOB_COMMIT:
                with pytest.raises((OSError, HTTPException)):
                    service.started().post(TOKEN)
            service.killed_itself(LONGEST_DAY_SECONDS)
            kills.append(arrived(google))
        service = recovered(place, google)
        ended = service.all_ended(LONGEST_DAY_SECONDS)
        assert len(ended) == 2
        assert first in [job["job_id"] for job in ended]
        for job in ended:
            assert_each_review_once(service, google, _job_token(job, first), job)
        for token in (TOKEN, f"{TOKEN}-n1"):
            lost = lost_in_kills(calls_of(google, token), kills)
            assert all(count <= MOST_IN_FLIGHT for count in lost.values())


def _job_token(job: dict[str, Any], first: str) -> str:
    return f"{TOKEN}-n1" if job["job_id"] == first else TOKEN


def recovered(place: Site, google: str) -> Service:
    """A new process goes on by itself: it calls Google within seconds, and waits for no lease to run out."""
    before = arrived(google)
    service = place.start()
    wait_for(google, "arrived", before + 1, RECOVERY_SECONDS)
    return service


def _die_at_commit(place: Site, point: CrashPoint, passes: int) -> list[str]:
    """The ids of the jobs that were accepted before the POST that nobody answered."""
    service = place.start(CRASH_AT=f"{point}:{passes}")
    accepted = [service.submit(f"{TOKEN}-n{n}") for n in range(1, passes)]
    with pytest.raises((OSError, HTTPException)):
        service.post(f"{TOKEN}-n{passes}")
    service.killed_itself()
    return accepted
