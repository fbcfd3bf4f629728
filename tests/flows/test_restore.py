"""A backup of PostgreSQL is restored while Kafka has gone on: docs/runbooks.md, "Restore PostgreSQL"."""

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from app.config.groups import KafkaConfig
from app.crash import CrashPoint
from app.models.events import Topic
from tests.support.kafka import read
from tests.support.replicas import published
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
def owner(postgresql_url: str) -> Iterator[str]:
    """The service's user: it may log in, and nothing else."""
    name = f"owner_{token_hex(4)}"
    ask(postgresql_url, f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
    yield name
    ask(postgresql_url, f"DROP ROLE {name}")


@pytest.fixture
def stack(
    owner: str, postgresql_database: str, topic_prefix: str, kafka_bootstrap_servers: str, tmp_path: Path
) -> Iterator[Stack]:
    """On a database that the service's user owns, as docs/operating.md asks for."""
    ask(postgresql_database, f"ALTER DATABASE {urlsplit(postgresql_database).path[1:]} OWNER TO {owner}")
    kafka = KafkaConfig(bootstrap_servers=(kafka_bootstrap_servers,), topic_prefix=topic_prefix, topic_partitions=6)
    yield Stack.on_servers(make_checkout(tmp_path), f"{as_user(owner, postgresql_database)}?sslmode=prefer", kafka)
    ask(postgresql_database, f"REASSIGN OWNED BY {owner} TO CURRENT_USER")


@pytest.fixture
def restored(stack: Stack, postgresql_url: str) -> Iterator[Stack]:
    """The same topics, and the database that the page restores into."""
    url = urlsplit(stack.environment["DATABASE_URL"])._replace(path=f"/{name_of(stack)}_restored")
    restored = replace(stack, settings=stack.settings | {"database_url": SecretStr(url.geturl())})
    yield restored
    ask(postgresql_url, f"DROP DATABASE IF EXISTS {name_of(restored)} WITH (FORCE)")


def as_user(name: str, url: str) -> str:
    """The same database for another user, whose password is his name."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{name}:{name}@{parts.netloc.rpartition('@')[2]}").geturl()


def restore(stack: Stack, restored: Stack, owner: str, administrator: str) -> None:
    """As the page says: only what needs it is done as an administrator."""
    addresses = {"ADMIN": administrator, "RESTORED": restored.environment["DATABASE_URL"]}
    instead = {RESTORED: name_of(restored), "OWNER review_fetcher": f"OWNER {owner}"}
    follow("Restore PostgreSQL", stack.directory, stack.environment | addresses, instead)


class Life:
    """Three jobs: one that was over when the backup was taken, one half way, and one that it knows nothing of."""

    def __init__(self, google: str, place: Site, stack: Stack) -> None:
        self._google = google
        self.place = place
        self._stack = stack
        self.tokens: dict[str, str] = {}

    def until_the_backup(self) -> tuple[str, str]:
        self.service = self.place.start()
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

    def stamped_and_not_sent(self) -> str:
        """A job whose publisher dies when its reviews have their positions, and Kafka has none of them."""
        self.service = self.place.start(ROLES="api,scheduler,accounts,locations,reviews")
        job_id = self.walked(LARGE)
        self.service.terminate()
        dying = self.place.launch(ROLES="publisher", CRASH_AT=f"{CrashPoint.POSITIONS_STAMPED}:1")
        dying.process.wait(30)
        return job_id

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


@pytest.fixture
def life(stack: Stack) -> Iterator[Life]:
    with ExitStack() as opened:
        google = opened.enter_context(simulator_process())
        yield Life(google, opened.enter_context(site(stack.directory, google, **stack.environment)), stack)


def test_after_a_restore_nothing_is_lost_and_only_what_the_backup_lacked_comes_twice(
    life: Life, stack: Stack, restored: Stack, owner: str, postgresql_url: str
) -> None:
    over, half_way = life.until_the_backup()
    follow("Back up PostgreSQL", stack.directory, stack.environment)
    unknown = life.after_the_backup(half_way)
    restore(stack, restored, owner, postgresql_url)
    lacked = len(life.true(half_way)) - stored(restored, half_way)
    assert 0 < lacked < len(life.true(half_way)), "the job was not half way"
    unsure = waiting(restored)
    service = decided(life.place, restored)
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


def test_back_on_the_old_database_nothing_is_lost_that_it_had_not_sent(
    life: Life, stack: Stack, restored: Stack, owner: str, postgresql_url: str
) -> None:
    """It had given positions to reviews that wait, and the restored one has published others under the same."""
    life.service = life.place.start()
    life.walked(f"{SMALL}-seed1")
    eventually(lambda: published(stack), 30, "an empty outbox")
    follow("Back up PostgreSQL", stack.directory, stack.environment)
    life.walked(f"{SMALL}-seed2")
    eventually(lambda: published(stack), 30, "an empty outbox")
    life.service.terminate()
    unsent = life.stamped_and_not_sent()
    restore(stack, restored, owner, postgresql_url)
    life.service = decided(life.place, restored)
    meanwhile = life.walked(f"{SMALL}-seed3")
    eventually(lambda: published(restored), 30, "an empty outbox")
    life.service.terminate()
    assert position(restored) < position(stack), "the old store has given out what the restored one used"
    follow("Back on the old database", stack.directory, life.place.settings)
    life.service = life.place.start()
    eventually(lambda: published(stack), 30, "an empty outbox")
    life.service.terminate()
    copies = asyncio.run(records(stack))
    for job_id in (unsent, meanwhile):
        assert copies[job_id] == Counter(life.true(job_id)), "neither lost nor doubled"


def position(stack: Stack) -> int:
    """The last that was given to a row."""
    return int(str(ask(stack.environment["DATABASE_URL"], "SELECT position FROM publisher_head")))


def decided(place: Site, restored: Stack) -> Service:
    """A replica on the restored database that waited for somebody's decision, and has it."""
    service = place.launch(**restored.environment).listening()
    waits_for_a_decision(service)
    follow("Decide what reviews-raw gets", restored.directory, place.settings | restored.environment)
    eventually(lambda: service.get("/readyz").status == 200, 30, "a green readiness")
    return service


def waits_for_a_decision(service: Service) -> None:
    """Kafka is further than the store: nothing is sent, and the readiness says why."""

    def told() -> bool:
        answer = service.get("/readyz")
        return answer.status == 503 and "restored from a backup" in answer.body.decode()

    eventually(told, 30, "a readiness that asks for republish")


def name_of(stack: Stack) -> str:
    return urlsplit(stack.environment["DATABASE_URL"]).path[1:]


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
