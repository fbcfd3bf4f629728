"""PostgreSQL's primary dies under load and its standby takes its place: docs/runbooks.md, "PostgreSQL fails over"."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.config.groups import KafkaConfig
from tests.flows.test_restore import records
from tests.support.clients import submitting, wait_for_jobs
from tests.support.own_standby import Pair, running_pair
from tests.support.replicas import deployed, published, started
from tests.support.runbooks import follow
from tests.support.service import JOBS, Service, eventually, site, upstream
from tests.support.simulator import simulator_process
from tests.support.stack import Stack
from tests.support.transcripts import make_checkout

pytestmark = [pytest.mark.alone, pytest.mark.postgresql, pytest.mark.kafka, pytest.mark.timeout(400)]

WORLD = "sim-accounts1-locations2-reviews60"
GOES_ON_WITHIN_SECONDS = 15.0
"""From the promotion to the first job that is accepted, as docs/runbooks.md promises."""


@pytest.fixture
def pair() -> Iterator[Pair]:
    with running_pair() as own:
        yield own


@pytest.fixture
def stack(pair: Pair, topic_prefix: str, kafka_bootstrap_servers: str, tmp_path: Path) -> Stack:
    kafka = KafkaConfig(bootstrap_servers=(kafka_bootstrap_servers,), topic_prefix=topic_prefix, topic_partitions=6)
    return Stack.on_servers(make_checkout(tmp_path), f"{pair.url}?target_session_attrs=read-write", kafka)


@pytest.mark.nightly
async def test_an_asynchronous_standby_is_a_backup_of_a_moment_ago(stack: Stack, pair: Pair) -> None:
    """It lacks a job that was published: the 202 is taken back, and somebody has to decide about `reviews-raw`."""

    def fail_over() -> None:
        with ExitStack() as opened:
            google = opened.enter_context(simulator_process())
            place = opened.enter_context(site(stack.directory, google, **stack.environment))
            (replica,) = started(place, "")
            kept = walked(replica)
            eventually(lambda: published(stack), 30, "an empty outbox")
            pair.catch_up()
            pair.standby.stop_immediately()
            taken_back = walked(replica)
            eventually(lambda: published(stack), 30, "an empty outbox")
            replica.terminate()
            pair.primary.kill()
            pair.standby.start()
            pair.promote()
            replica = place.launch().listening()
            eventually(lambda: b"restored from a backup" in replica.get("/readyz").body, 30, "a question")
            follow("Decide what reviews-raw gets", stack.directory, place.settings)
            eventually(lambda: replica.get("/readyz").status == 200, 30, "a green readiness")
            assert replica.get(f"{JOBS}/{taken_back}").status == 404
            later = walked(replica)
            eventually(lambda: published(stack), 30, "an empty outbox")
            replica.terminate()
            copies = asyncio.run(records(stack))
            true = Counter(upstream(google, f"ya29.{WORLD}"))
            assert copies == {kept: true, taken_back: true, later: true}, "each review once"

    await asyncio.to_thread(fail_over)


def walked(replica: Service) -> str:
    job = replica.job_ended(replica.submit(f"ya29.{WORLD}"))
    assert job["status"] == "completed", job
    return str(job["job_id"])


async def test_a_synchronous_standby_takes_over_under_load_and_nothing_is_lost(stack: Stack, pair: Pair) -> None:
    def fail_over() -> None:
        pair.wait_for_each_commit()
        pair.copy_setting()
        with deployed(stack, replicas=2) as deployment:
            replicas = deployment.replicas
            with submitting(lambda: replicas, WORLD) as clients:
                wait_for_jobs(clients, 10)
                pair.primary.kill()
                eventually(lambda: replicas[0].get("/readyz").status == 503, 10, "a red readiness")
                told = follow("PostgreSQL fails over", stack.directory, {"STANDBY": pair.standby.url})
                assert [one.split() for one in told] == [["t"], ["t"], ["f"]]
                promoted = time.monotonic()
                wait_for_jobs(clients, 1)
                took = time.monotonic() - promoted
                assert took < GOES_ON_WITHIN_SECONDS, f"{took:.1f} s"
                wait_for_jobs(clients, 5)
            deployment.assert_all_walked(clients.accepted)
            deployment.terminate()

    await asyncio.to_thread(fail_over)
    await stack.assert_each_review_published_once()
