"""Kills at moments that nobody chose, and amid a crowd of POSTs."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.support.crowd import Crowd
from tests.support.service import arrived, retries_for, site, wait_for
from tests.support.simulator import control, simulator_process
from tests.support.verdict import (
    assert_each_review_once,
    assert_only_pages_in_flight_were_lost,
    calls_of,
    ideal_calls,
    lost_in_kills,
)

TOKEN = "ya29.sim-accounts3-locations8-reviews300-seed5"
"""148 pages."""

NIGHTLY_TOKEN = "ya29.sim-accounts5-locations20-reviews1000-seed6"
"""2,006 pages."""

SLOW = {"fault": "latency", "seconds": 0.02, "jitter": 0.04}
"""So that a kill finds pages on their way."""

ANSWERS = 150
"""Answers before the kill; most of their jobs have not begun by then."""

MOST_IN_FLIGHT = 3 * 4 + 1


@pytest.mark.parametrize("mood", ["good", "flaky"])
def test_a_job_outlives_five_kills(mood: str, tmp_path: Path) -> None:
    _survives(tmp_path, mood, TOKEN, kills=5, seed=1)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mood", ["good", "flaky"])
def test_a_job_outlives_forty_kills(mood: str, seed: int, tmp_path: Path) -> None:
    _survives(tmp_path, mood, NIGHTLY_TOKEN, kills=40, seed=seed)


def _survives(directory: Path, mood: str, token: str, *, kills: int, seed: int) -> None:
    """Under `flaky`, overlapping pages make more calls than the ideal: there only what was read again is judged."""
    random = Random(seed)
    settings = retries_for(kills)
    with simulator_process("--faults", mood) as google, site(directory, google, **settings) as place:
        control(google, "POST", "faults", SLOW)
        stretch = ideal_calls(google, token) // (2 * (kills + 1))
        service = place.start()
        job_id = service.submit(token)
        deaths: list[int] = []
        for _ in range(kills):
            wait_for(google, random.choice(("arrived", "answered")), arrived(google) + random.randint(1, stretch))
            service.kill()
            deaths.append(arrived(google))
            service = place.start()
        assert_each_review_once(service, google, token, service.job_ended(job_id))
        if mood == "good":
            assert_only_pages_in_flight_were_lost(google, token, deaths, MOST_IN_FLIGHT)
        assert all(count <= MOST_IN_FLIGHT for count in lost_in_kills(calls_of(google, token), deaths).values())


async def test_every_job_that_was_answered_202_before_a_kill_ends(tmp_path: Path) -> None:
    """48 connections POST at once; the service dies amid them. Each job has its one entry in the audit log."""
    with simulator_process() as google, site(tmp_path, google) as place:
        service = place.start()
        crowd = Crowd(*service.address, "ya29.sim-accounts1-locations1-reviews1-crowd", connections=48)
        posting = asyncio.create_task(crowd.post(100_000))
        await crowd.answered(ANSWERS)
        service.process.kill()
        await posting
        assert crowd.broken == 48
        after = await asyncio.to_thread(place.start)
        ended = await asyncio.to_thread(after.all_ended)
        known = {job["job_id"] for job in ended}
        assert len(crowd.accepted) >= ANSWERS
        assert known >= set(crowd.accepted)
        assert len(known) <= len(crowd.accepted) + crowd.broken
        assert {job["status"] for job in ended} == {"completed"}
        assert all(job["progress"]["reviews"]["fetched"] == 1 for job in ended)
        told = await asyncio.to_thread(lambda: list(after.audit_log()))
        assert sorted(entry["subject"] for entry in told if entry["action"] == "job.submit") == sorted(known)
