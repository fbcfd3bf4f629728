"""A broker or a database that is away for a while: readiness tells, jobs are safe, and work goes on by itself."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import run

import pytest

from app.config.groups import KafkaConfig
from tests.flows.test_replicas import WORLD
from tests.support.own_kafka import OwnKafka, running_kafka
from tests.support.own_postgresql import OwnPostgresql, running_postgresql
from tests.support.replicas import published
from tests.support.service import ROOT, Site, eventually, site, upstream, wait_for
from tests.support.simulator import control, simulator_process
from tests.support.stack import Stack

pytestmark = [pytest.mark.alone, pytest.mark.postgresql, pytest.mark.kafka, pytest.mark.timeout(240)]

TOKEN = "ya29.token-of-an-outage"
RED_WITHIN_SECONDS = 10.0
RESUMES_WITHIN_SECONDS = 30.0


class Case:
    """One service, a job of it half way."""

    def __init__(self, place: Site, google: str, stack: Stack) -> None:
        self.service = place.start()
        self.place = place
        self.google = google
        self.stack = stack
        self.job_id = self.service.submit(TOKEN)
        wait_for(google, "answered", 12)

    def readiness_tells(self, part: str) -> None:
        """`/readyz` is red, for this part of the service."""

        def red() -> bool:
            answer = self.service.get("/readyz")
            return answer.status == 503 and part in answer.body.decode()

        eventually(red, RED_WITHIN_SECONDS, f"readiness that names {part}")

    def ready(self) -> None:
        eventually(lambda: self.service.get("/readyz").status == 200, RESUMES_WITHIN_SECONDS, "readiness")

    def completed(self, job_id: str) -> None:
        job = self.service.job_ended(job_id, seconds=60)
        assert job["status"] == "completed", job
        assert self.service.exported(job_id) == upstream(self.google, TOKEN)

    def everything_published(self) -> None:
        eventually(lambda: published(self.stack), RESUMES_WITHIN_SECONDS, "an empty outbox")

    def hurry(self) -> None:
        """Google answers at once from now on."""
        control(self.google, "PUT", "faults", {"rules": []})


@contextmanager
def walking(directory: Path, stack: Stack) -> Iterator[Case]:
    """A job under way on the stack. In the end, what was stored must be what a reader of reviews-raw got."""
    with ExitStack() as undo:
        google = undo.enter_context(simulator_process(*WORLD))
        control(google, "PUT", "faults", {"rules": [{"fault": "latency", "seconds": 1.0}]})
        case = Case(undo.enter_context(site(directory, google, **stack.environment)), google, stack)
        yield case
        case.service.terminate()
        asyncio.run(stack.assert_each_review_published_once())


@pytest.fixture
def kafka() -> Iterator[OwnKafka]:
    with running_kafka() as own:
        yield own


@pytest.fixture
def postgresql() -> Iterator[OwnPostgresql]:
    with running_postgresql() as own:
        yield own


@pytest.fixture
def broker_case(kafka: OwnKafka, postgresql_database: str, tmp_path: Path) -> Iterator[Case]:
    """Its Kafka is the test's own, its PostgreSQL everybody's."""
    settings = KafkaConfig(bootstrap_servers=(kafka.connection.bootstrap_servers,), topic_partitions=6)
    with walking(tmp_path, Stack.on_servers(tmp_path, postgresql_database, settings)) as case:
        yield case


@pytest.fixture
def store_case(
    postgresql: OwnPostgresql, topic_prefix: str, kafka_bootstrap_servers: str, tmp_path: Path
) -> Iterator[Case]:
    """The other way round."""
    settings = KafkaConfig(bootstrap_servers=(kafka_bootstrap_servers,), topic_prefix=topic_prefix, topic_partitions=6)
    with walking(tmp_path, Stack.on_servers(tmp_path, postgresql.url, settings)) as case:
        yield case


def test_a_broker_that_is_away_keeps_no_job_from_being_accepted(broker_case: Case, kafka: OwnKafka) -> None:
    case = broker_case
    kafka.kill()
    case.readiness_tells("broker")
    other = case.service.submit(TOKEN)
    kafka.start()
    case.ready()
    case.hurry()
    case.completed(case.job_id)
    case.completed(other)
    case.everything_published()


def test_a_service_starts_while_its_broker_is_away(broker_case: Case, kafka: OwnKafka) -> None:
    case = broker_case
    kafka.kill()
    case.service.kill()
    case.service = case.place.launch().listening()
    other = case.service.submit(TOKEN)
    case.readiness_tells("broker")
    kafka.start()
    case.ready()
    case.hurry()
    case.completed(case.job_id)
    case.completed(other)
    case.everything_published()


def test_work_that_was_wiped_with_its_topics_is_released_anew(broker_case: Case, kafka: OwnKafka) -> None:
    """The store is the truth: only what was published has to be sent again by someone who knows that it is gone."""
    case = broker_case
    kafka.wipe()
    kafka.start()
    assert case.service.job(case.job_id)["status"] == "processing", "the job was over before its work was wiped"
    case.hurry()
    case.completed(case.job_id)
    case.readiness_tells("republish")
    command = [str(ROOT / ".venv" / "bin" / "review-fetcher"), "republish", "--everything", "--yes"]
    told = run(command, cwd=case.place.directory, env=case.place.settings, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    case.ready()
    case.everything_published()


@pytest.mark.parametrize("outage", ["stopped", "frozen"])
def test_a_store_that_is_away_takes_no_job_and_loses_none(
    store_case: Case, postgresql: OwnPostgresql, outage: str
) -> None:
    case = store_case
    with postgresql.frozen() if outage == "frozen" else stopped(postgresql):
        case.readiness_tells("store")
        answer = case.service.post(TOKEN)
        assert answer.status == 503, answer
        assert int(answer.headers["retry-after"]) >= 1
        assert case.service.get("/livez").status == 200
    case.ready()
    other = case.service.submit(TOKEN)
    case.hurry()
    case.completed(case.job_id)
    case.completed(other)
    case.everything_published()


@contextmanager
def stopped(postgresql: OwnPostgresql) -> Iterator[None]:
    """Its connections break, and none is taken."""
    postgresql.stop_immediately()
    yield
    postgresql.start()
