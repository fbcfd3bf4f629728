"""Several processes on one PostgreSQL and one Kafka: all alike, or one for each role."""

import asyncio
from collections import Counter
from contextlib import ExitStack

import pytest

from app.models.job import Stage
from tests.support.kafka import members_at_work
from tests.support.replicas import published, started
from tests.support.service import JOBS, Service, eventually, site, upstream, wait_for
from tests.support.simulator import control, simulator_process
from tests.support.stack import Stack
from tests.support.verdict import calls_of, ideal_calls

pytestmark = [pytest.mark.alone, pytest.mark.postgresql, pytest.mark.kafka]

TOKEN = "ya29.token-of-many-replicas"
WORLD = ("--accounts", "2", "--locations", "12", "--reviews", "120")


async def test_a_process_for_each_role_walks_a_job_together(servers: Stack) -> None:
    def walk() -> None:
        with ExitStack() as stack:
            google = stack.enter_context(simulator_process(*WORLD))
            place = stack.enter_context(site(servers.directory, google, **servers.environment))
            api, *workers = started(place, "api", "scheduler", "accounts,locations", "reviews", "publisher")
            job = api.job_ended(api.submit(TOKEN))
            assert job["status"] == "completed", job
            assert api.exported(job["job_id"]) == upstream(google, TOKEN)
            assert len(calls_of(google, TOKEN)) == ideal_calls(google, TOKEN)
            for worker in workers:
                assert worker.get("/readyz").status == 200
                assert worker.get(JOBS).status == 404, "only the role api takes jobs"
            eventually(lambda: published(servers), 30, "an empty outbox")
            for process in (api, *workers):
                process.terminate()

    await asyncio.to_thread(walk)


async def test_replicas_share_the_work_of_one_job(servers: Stack) -> None:
    """Each reads pages of it, and none is read twice."""

    def walk() -> None:
        with ExitStack() as stack:
            google = stack.enter_context(simulator_process("--accounts", "2", "--locations", "40", "--reviews", "120"))
            control(google, "PUT", "faults", {"rules": [{"fault": "latency", "seconds": 0.1}]})
            place = stack.enter_context(site(servers.directory, google, **servers.environment))
            replicas = started(place, "", "", "")
            eventually(lambda: reading(servers) == len(replicas), 30, "partitions for each replica")
            job = replicas[0].job_ended(replicas[1].submit(TOKEN))
            assert job["status"] == "completed", job
            assert len(calls_of(google, TOKEN)) == ideal_calls(google, TOKEN)
            calls = Counter({replica.pid: google_calls(replica) for replica in replicas})
            assert min(calls.values()) > 0.05 * calls.total(), calls
            eventually(lambda: published(servers), 30, "an empty outbox")

    await asyncio.to_thread(walk)


async def test_work_goes_on_within_seconds_of_the_leaders_death(servers: Stack) -> None:
    """The first replica leads; it is killed while pages are in flight."""

    def walk() -> None:
        with ExitStack() as stack:
            google = stack.enter_context(simulator_process(*WORLD))
            control(google, "PUT", "faults", {"rules": [{"fault": "latency", "seconds": 0.05}]})
            place = stack.enter_context(site(servers.directory, google, **servers.environment))
            leader = place.start()
            (follower,) = started(place, "")
            job_id = follower.submit(TOKEN)
            wait_for(google, "answered", 20)
            leader.kill()
            job = follower.job_ended(job_id, seconds=45)
            assert job["status"] == "completed", job
            assert follower.exported(job_id) == upstream(google, TOKEN)
            eventually(lambda: published(servers), 30, "an empty outbox")

    await asyncio.to_thread(walk)


def reading(servers: Stack) -> int:
    """How many replicas are given pages to read: to be ready is to be able to, and Kafka shares them out later."""
    assert servers.kafka is not None
    return members_at_work(",".join(servers.kafka.bootstrap_servers), servers.kafka.topic_prefix, Stage.REVIEWS)


def google_calls(service: Service) -> int:
    """How many calls it made itself, by its own metrics."""
    lines = service.get("/metrics").body.decode().splitlines()
    counted = [line for line in lines if line.startswith("review_fetcher_google_calls_total")]
    return int(sum(float(line.split()[-1]) for line in counted if 'api="token' not in line))
