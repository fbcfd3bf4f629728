"""A Kafka that asks who comes, over TLS: who may, works; who may not, is told why, and no secret is told with it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)
from local_services.process import free_ports
from structlog.testing import capture_logs

from app.broker.base import BrokerUnavailableError, TopicLayoutError
from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.kafka import CHECK_SECONDS, KafkaBroker
from app.clock import SystemClock
from app.models.events import Topic
from app.models.job import Stage, Work
from tests.support.certificates import Authority
from tests.support.kafka import SECONDS
from tests.support.own_kafka import running_kafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

PASSWORDS = {"service": "right-horse-1", "guest": "right-horse-2"}
WRONG = "wrong-battery-3"
LAYOUT = TopicLayout(partitions=1)
WORK = Work(1, 1, Stage.REVIEWS, "default", "job-1", "locations/1", "accounts/1", "")

MORE_QUESTIONS = 5

_numbers = count(1)


@dataclass(frozen=True)
class GuardedKafka:
    """`open` is a listener for whoever administers it, `guarded` one for its users."""

    open: str
    guarded: str
    authority: str
    """File with the certificate of who signed the broker's."""

    def connection(self, user: str, password: str, authority: str | None = None) -> KafkaConnection:
        return KafkaConnection(
            self.guarded,
            {
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "PLAIN",
                "sasl.username": user,
                "sasl.password": password,
                "ssl.ca.location": authority or self.authority,
            },
        )

    @asynccontextmanager
    async def broker(
        self, connection: KafkaConnection, prefix: str = "", *, deadline: float = SECONDS
    ) -> AsyncIterator[KafkaBroker]:
        prefix = prefix or f"test{next(_numbers)}-"
        group = f"{prefix}group"
        opened = KafkaBroker(connection, group, SystemClock(), layout=LAYOUT, topic_prefix=prefix, deadline=deadline)
        await opened.start()
        yield opened
        await opened.close()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedKafka]:
    files = tmp_path_factory.mktemp("certificates")
    authority = Authority("The tests' own")
    (files / "broker.pem").write_bytes(authority.keystore())
    clients, controller, guarded_port = free_ports(3)
    ports = (clients, controller)
    with running_kafka(_properties(ports, guarded_port, files / "broker.pem"), ports) as own:
        trusted = authority.write(files / "authority.pem")
        yield GuardedKafka(own.connection.bootstrap_servers, f"127.0.0.1:{guarded_port}", trusted)


def _properties(ports: tuple[int, int], guarded_port: int, keystore: Path) -> Mapping[str, str]:
    users = " ".join(f'user_{user}="{password}"' for user, password in PASSWORDS.items())
    listeners = f"BROKER://127.0.0.1:{ports[0]},GUARDED://127.0.0.1:{guarded_port}"
    return {
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{ports[1]}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_SSL",
        "listener.name.guarded.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.guarded.plain.sasl.jaas.config": (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
        ),
        "listener.name.guarded.ssl.keystore.type": "PEM",
        "listener.name.guarded.ssl.keystore.location": str(keystore),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:service",
    }


async def _passes_through(broker: KafkaBroker) -> bool:
    await broker.publish([WORK])
    async with asyncio.timeout(60):
        (delivery,) = await broker.consumer(Stage.REVIEWS).receive(1)
    return delivery.work == WORK


async def test_who_has_the_password_and_the_certificate_works(guarded: GuardedKafka) -> None:
    async with guarded.broker(guarded.connection("service", PASSWORDS["service"])) as broker:
        await broker.prepare()
        await broker.check()
        assert await _passes_through(broker)


async def test_a_wrong_password_is_named_and_not_told(
    guarded: GuardedKafka, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as logged:
        told = await _refusals(guarded, guarded.connection("service", WRONG), logged)
    for sentence in told:
        assert "Authentication failed" in sentence
    output = capfd.readouterr()
    assert WRONG not in f"{told}{logged}{caplog.text}{output.out}{output.err}"
    assert _names_it(logged), logged


async def test_a_certificate_of_somebody_else_is_named(guarded: GuardedKafka, tmp_path: Path) -> None:
    somebody_else = Authority("Somebody else").write(tmp_path / "other.pem")
    connection = guarded.connection("service", PASSWORDS["service"], somebody_else)
    for sentence in await _refusals(guarded, connection):
        assert "certificate" in sentence
        assert PASSWORDS["service"] not in sentence


def _names_it(logged: Sequence[Mapping[str, Any]]) -> bool:
    return any("Authentication failed" in str(line) for line in logged)


async def _refusals(
    guarded: GuardedKafka, connection: KafkaConnection, logged: Sequence[Mapping[str, Any]] | None = None
) -> list[str]:
    """What each call says, with the errors behind it, and none of them too late.

    `logged`: librdkafka hands a line over when it is asked the next time, so it is asked until one names the cause.
    """
    told = []
    async with guarded.broker(connection, deadline=4.0) as broker:
        for call in (broker.prepare(), broker.check(), broker.publish([WORK])):
            began = time.monotonic()
            with pytest.raises(BrokerUnavailableError) as refused:
                await call
            assert time.monotonic() - began < CHECK_SECONDS + 2
            told.append(f"{refused.value} {refused.value.__cause__!r}")
        for _ in range(MORE_QUESTIONS):
            if logged is None or _names_it(logged):
                break
            with suppress(BrokerUnavailableError):
                await broker.check()
    return told


def test_a_connection_shows_no_password(guarded: GuardedKafka) -> None:
    assert WRONG not in repr(guarded.connection("service", WRONG))


async def test_a_user_who_may_not_create_topics_is_told_what_to_create(guarded: GuardedKafka) -> None:
    prefix = f"guest{next(_numbers)}-"
    await asyncio.to_thread(_admit_guest, guarded.open, prefix)
    async with guarded.broker(guarded.connection("guest", PASSWORDS["guest"]), prefix) as broker:
        with pytest.raises(TopicLayoutError, match=f"kafka-topics.sh --create --topic {prefix}fetch-accounts"):
            await broker.prepare()


async def test_a_user_who_may_not_create_topics_runs_on_those_that_exist(guarded: GuardedKafka) -> None:
    prefix = f"guest{next(_numbers)}-"
    await asyncio.to_thread(_admit_guest, guarded.open, prefix)
    await asyncio.to_thread(_make_topics, guarded.open, prefix)
    async with guarded.broker(guarded.connection("guest", PASSWORDS["guest"]), prefix) as broker:
        await broker.prepare()
        await broker.check()
        assert await _passes_through(broker)


def _admit_guest(bootstrap_servers: str, prefix: str) -> None:
    """To describe, read and write topics and groups with this prefix, and to nothing else."""
    allowed = [
        AclBinding(
            resource, prefix, ResourcePatternType.PREFIXED, "User:guest", "*", operation, AclPermissionType.ALLOW
        )
        for resource in (ResourceType.TOPIC, ResourceType.GROUP)
        for operation in (AclOperation.DESCRIBE, AclOperation.READ, AclOperation.WRITE)
        if (resource, operation) != (ResourceType.GROUP, AclOperation.WRITE)
    ]
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    for answer in admin.create_acls(allowed).values():
        answer.result(SECONDS)


def _make_topics(bootstrap_servers: str, prefix: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    for answer in admin.create_topics([NewTopic(prefix + topic, LAYOUT.partitions, 1) for topic in Topic]).values():
        answer.result(SECONDS)
