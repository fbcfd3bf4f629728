"""A backup of PostgreSQL is restored while Kafka has gone on: docs/runbooks.md, "Restore PostgreSQL"."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.config.groups import KafkaConfig
from app.models.events import Topic
from tests.flows.test_replicas import published
from tests.support.kafka import read
from tests.support.runbooks import follow
from tests.support.service import JOBS, Review, Service, Site, eventually, site, upstream, wait_for
from tests.support.services import ask
from tests.support.simulator import control, simulator_process
from tests.support.stack import Stack
from tests.support.transcripts import make_checkout

pytestmark = [pytest.mark.postgresql, pytest.mark.kafka, pytest.mark.timeout(400)]

SMALL = "ya29.sim-accounts1-locations2-reviews120"
LARGE = "ya29.sim-accounts1-locations8-reviews200"
RESTORED = "review_fetcher_restored"


@pytest.fixture
def stack(postgresql_database: str, topic_prefix: str, kafka_bootstrap_servers: str, tmp_path: Path) -> Stack:
    kafka = KafkaConfig(bootstrap_servers=(kafka_bootstrap_servers,), topic_prefix=topic_prefix, topic_partitions=6)
    return Stack.on_servers(make_checkout(tmp_path), postgresql_database, kafka)


@pytest.fixture
def restored(stack: Stack) -> Iterator[Stack]:
    """The same topics, and the database that the page restores into."""
    url = stack.environment["DATABASE_URL"]
    name = f"{url.rpartition('/')[2]}_restored"
    yield replace(stack, settings=stack.settings | {"database_url": SecretStr(f"{url.rpartition('/')[0]}/{name}")})
    ask(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class Life:
    """Three jobs: one that was over when the backup was taken, one half way, and one that it knows nothing of."""

    def __init__(self, google: str, place: Site, stack: Stack) -> None:
        self._google = google
        self._place = place
        self._stack = stack
        self.tokens: dict[str, str] = {}

    def until_the_backup(self) -> tuple[str, str]:
        self.service = self._place.start()
        over = self.walked(f"{SMALL}-seed1")
        self._slow(1.0)
        before = int(control(self._google, "GET", "wait?timeout=0")["counts"]["answered"])
        half_way = self.submitted(LARGE)
        wait_for(self._google, "answered", before + 12)
        return over, half_way

    def after_the_backup(self, half_way: str) -> str:
        self._slow(0.0)
        assert self.service.job_ended(half_way)["status"] == "completed"
        unknown = self.walked(f"{SMALL}-seed2")
        eventually(lambda: published(self._stack), 30, "an empty outbox")
        self.service.terminate()
        return unknown

    def walked(self, token: str) -> str:
        job_id = self.submitted(token)
        assert self.service.job_ended(job_id)["status"] == "completed"
        return job_id

    def submitted(self, token: str) -> str:
        job_id = self.service.submit(token)
        self.tokens[job_id] = token
        return job_id

    def true(self, job_id: str) -> list[Review]:
        return upstream(self._google, self.tokens[job_id])

    def _slow(self, seconds: float) -> None:
        control(self._google, "PUT", "faults", {"rules": [{"fault": "latency", "seconds": seconds}] if seconds else []})


def test_after_a_restore_nothing_is_lost_and_only_what_the_backup_lacked_comes_twice(
    stack: Stack, restored: Stack
) -> None:
    with ExitStack() as opened:
        google = opened.enter_context(simulator_process())
        place = opened.enter_context(site(stack.directory, google, **stack.environment))
        life = Life(google, place, stack)
        over, half_way = life.until_the_backup()
        follow("Back up PostgreSQL", stack.directory, stack.environment)
        unknown = life.after_the_backup(half_way)
        follow("Restore PostgreSQL", stack.directory, stack.environment, {RESTORED: name_of(restored)})
        lacked = len(life.true(half_way)) - stored(restored, half_way)
        assert 0 < lacked < len(life.true(half_way)), "the job was not half way"
        unsure = int(
            str(ask(restored.environment["DATABASE_URL"], "SELECT coalesce(sum(review_count), 0) FROM outbox"))
        )
        service = place.launch(**restored.environment).listening()
        waits_for_a_decision(service)
        follow("Decide what reviews-raw gets", stack.directory, place.settings | restored.environment)
        eventually(lambda: service.get("/readyz").status == 200, 30, "a green readiness")
        assert service.job_ended(half_way)["status"] == "completed"
        eventually(lambda: published(restored), 30, "an empty outbox")
        for job_id in (over, half_way):
            assert service.exported(job_id) == life.true(job_id)
        assert service.get(f"{JOBS}/{unknown}").status == 404, "its 202 was taken back"
        service.terminate()
        copies = asyncio.run(records(stack))
        for job_id in (over, unknown):
            assert copies[job_id] == Counter(life.true(job_id)), "neither lost nor doubled"
        assert sorted(copies[half_way]) == life.true(half_way), "nothing is lost"
        doubled = copies[half_way].total() - len(copies[half_way])
        assert 0 < doubled <= lacked + unsure


def waits_for_a_decision(service: Service) -> None:
    """Kafka is further than the store: nothing is sent, and the readiness says why."""

    def told() -> bool:
        answer = service.get("/readyz")
        return answer.status == 503 and "restored from a backup" in answer.body.decode()

    eventually(told, 30, "a readiness that asks for republish")


def name_of(stack: Stack) -> str:
    return stack.environment["DATABASE_URL"].rpartition("/")[2]


def stored(stack: Stack, job_id: str) -> int:
    query = f"SELECT count(*) FROM reviews JOIN locations ON no = location_no WHERE job_id = '{job_id}'"  # noqa: S608
    return int(str(ask(stack.environment["DATABASE_URL"], query)))


def waiting(stack: Stack) -> int:
    """Reviews that the store does not know to be published: some of them are."""
    query = "SELECT coalesce(sum(review_count), 0) FROM outbox"
    return int(str(ask(stack.environment["DATABASE_URL"], query)))


async def records(stack: Stack) -> dict[str, Counter[Review]]:
    """What a `read_committed` consumer gets, by job. Copies of a record have the same `message_id`."""
    assert stack.kafka is not None
    found: dict[str, Counter[Review]] = defaultdict(Counter)
    ids: dict[tuple[str, str, str], str] = {}
    for message in await read(",".join(stack.kafka.bootstrap_servers), stack.kafka.topic_prefix + Topic.REVIEWS_RAW):
        envelope = json.loads(message.value() or b"")
        review = envelope["message"]
        name = review["job_id"], review["location"], review["review_id"]
        assert ids.setdefault(name, envelope["message_id"]) == envelope["message_id"]
        found[name[0]][name[1:]] += 1
    return found
