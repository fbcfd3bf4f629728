"""What Python's heap holds does not grow with the number of jobs: caches are bounded, and nothing else remembers."""

import asyncio
import gc
import sys
import tracemalloc
from pathlib import Path

import pytest

from tests.support.engine import UNLIMITED, Engine, running_engine
from tests.support.simulator import simulator_process
from tests.support.stack import Stack

pytestmark = [pytest.mark.alone, pytest.mark.nightly, pytest.mark.timeout(900)]

UNTIL_CACHES_ARE_FULL, MORE = 600, 1_200
MOST_GROWTH_KB = 150.0
"""Each id of a job in a set would be more."""

REST_SECONDS = 8.0
"""Housekeeping, numbers for metrics and leases have had their turns."""


async def test_a_thousand_more_jobs_leave_nothing_in_memory(tmp_path: Path) -> None:
    with simulator_process("--ledger-calls", "1000") as google:
        async with running_engine(Stack.on_sqlite(tmp_path), google, rate_limit=UNLIMITED) as engine:
            tracemalloc.start()
            try:
                before = await _held_after(engine, range(UNTIL_CACHES_ARE_FULL))
                after = await _held_after(engine, range(UNTIL_CACHES_ARE_FULL, UNTIL_CACHES_ARE_FULL + MORE))
            finally:
                tracemalloc.stop()
    sys.stdout.write(f"\nkB of Python's heap: {before:.0f}, after {MORE} jobs more {after:.0f}\n")
    assert after - before < MOST_GROWTH_KB


async def _held_after(engine: Engine, numbers: range) -> float:
    """kB that are allocated once these jobs are completed and the service is at rest."""
    for number in numbers:
        job_id = await engine.submit(f"ya29.sim-accounts1-locations2-reviews60-heap{number}")
        if number % 20 == 19:
            assert (await engine.job_ended(job_id))["status"] == "completed"
    await asyncio.sleep(REST_SECONDS)
    gc.collect()
    return tracemalloc.get_traced_memory()[0] / 1024
