"""The topics on the cluster: made when they are missing, held to the layout when they are there."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, TopicDescription

from app.broker.base import BrokerUnavailableError, TopicLayoutError
from app.broker.client_log import client_log
from app.broker.connection import KafkaConnection, TopicLayout, Trouble
from app.clock import Clock
from app.models.events import TOPIC_OF, Topic

T = TypeVar("T")

HOLDING_REVIEWS = (Topic.REVIEWS_RAW, Topic.DEAD_LETTERS)
"""Topics whose messages may be as large as a review."""

IN_SYNC_OF_MANY = 2
"""Copies that must have a message before it counts as sent, of three or more: one broker may be away, or lose its disk.

Of two copies one must do, or no broker could be away.
"""

PROPAGATION_SECONDS = 0.1
"""Between two looks at a topic that was created and that the broker asked does not know yet."""

GRACE_SECONDS = 1.0
"""librdkafka ends a request at its timeout by itself; only if it did not would a wait for it last this much longer."""

_FORBIDDEN = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED)

_REFUSALS = (
    *_FORBIDDEN,
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.INVALID_CONFIG,
    KafkaError.POLICY_VIOLATION,
    KafkaError.TOPIC_EXCEPTION,
)
"""Answers to the creation of a topic that do not change by asking again."""


class KafkaTopics:
    """The service's topics on one cluster. Everything here blocks and is called off the event loop."""

    def __init__(
        self, connection: KafkaConnection, layout: TopicLayout, clock: Clock, *, prefix: str, deadline: float
    ) -> None:
        """`deadline`: seconds for all of one `prepare`."""
        self._connection = connection
        self._layout = layout
        self._clock = clock
        self._prefix = prefix
        self._deadline = deadline
        self._trouble = Trouble()
        self._admin: AdminClient | None = None

    def name(self, topic: Topic) -> str:
        """What it is called on the cluster."""
        return self._prefix + topic

    def prepare(self) -> str:
        """Create, verify, and name the work topics' identity: see `Broker.prepare`.

        Looks first and creates only what is missing, so that a user who may not create topics can run on those that
        exist, and so that replicas that start together all succeed.
        """
        return self._asked(lambda preparation: preparation.run())

    def missing(self) -> list[str]:
        """The topics that `prepare` would create. Creates none, and raises what it would raise about the others."""
        return self._asked(lambda preparation: preparation.look())

    def _asked(self, ask: Callable[["_Preparation"], T]) -> T:
        admin = self._client()
        self._trouble.forget()
        try:
            return ask(_Preparation(self, admin, self._layout, self._clock, self._clock.monotonic() + self._deadline))
        except (KafkaException, FutureTimeoutError) as error:
            admin.poll(0)  # what it has to say of its connections
            reason = self._trouble.explain(error if isinstance(error, KafkaException) else None)
            raise BrokerUnavailableError(f"Kafka at {self._connection.bootstrap_servers}: {reason}") from error

    def close(self) -> None:
        """Let its connections go; `prepare` makes others."""
        admin, self._admin = self._admin, None
        if admin is not None:
            admin.poll(0)

    def _client(self) -> AdminClient:
        """One until the end: it is asked again and again, and finds a broker that comes back by itself."""
        if self._admin is None:
            self._admin = AdminClient(self._connection.settings(error_cb=self._trouble), logger=client_log())
        return self._admin


class _Preparation:
    """One run of `prepare`, until a point of the monotonic clock."""

    def __init__(self, topics: KafkaTopics, admin: AdminClient, layout: TopicLayout, clock: Clock, until: float):
        self._names = {topic: topics.name(topic) for topic in Topic}
        self._admin = admin
        self._layout = layout
        self._clock = clock
        self._until = until

    def run(self) -> str:
        found = self._describe()
        missing = [topic for topic in Topic if self._names[topic] not in found]
        if missing:
            self._create(missing)
            found = self._describe_when_known()
        self._hold_to_layout(found)
        return self._identity(found)

    def look(self) -> list[str]:
        found = self._describe()
        self._hold_to_layout(found)
        return [name for name in self._names.values() if name not in found]

    def _hold_to_layout(self, found: Mapping[str, TopicDescription]) -> None:
        wrong = [*self._wrong_partitions(found), *self._wrong_limits(found)]
        if wrong:
            raise TopicLayoutError(" ".join(wrong))

    def _describe(self) -> dict[str, TopicDescription]:
        """Name → description, of the topics that exist."""
        asked = TopicCollection(list(self._names.values()))
        answers = self._admin.describe_topics(asked, request_timeout=self._left())
        found = {}
        for name, answer in answers.items():
            try:
                found[name] = self._result(answer)
            except KafkaException as error:
                if error.args[0].code() in _FORBIDDEN:
                    raise TopicLayoutError(f"Kafka's user may not describe the topic {name}: let it.") from error
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise
        return found

    def _describe_when_known(self) -> dict[str, TopicDescription]:
        while len(found := self._describe()) < len(self._names):
            if self._clock.monotonic() >= self._until:
                missing = ", ".join(name for name in self._names.values() if name not in found)
                raise BrokerUnavailableError(f"Kafka created {missing} and does not show it yet.")
            time.sleep(PROPAGATION_SECONDS)
        return found

    def _create(self, missing: Sequence[Topic]) -> None:
        """Another replica may create the same at this moment."""
        answers = self._admin.create_topics([self._new(topic) for topic in missing], request_timeout=self._left())
        for name, answer in answers.items():
            try:
                self._result(answer)
            except KafkaException as error:
                refused = error.args[0]
                if refused.code() in _REFUSALS:
                    raise TopicLayoutError(self._refusal(name, refused)) from error
                if refused.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise

    def _new(self, topic: Topic) -> NewTopic:
        layout = self._layout
        settings = {"cleanup.policy": "delete", "min.insync.replicas": str(in_sync_of(layout.replication_factor))}
        if topic in HOLDING_REVIEWS:
            settings["max.message.bytes"] = str(layout.max_message_bytes)
        return NewTopic(self._names[topic], layout.partitions, layout.replication_factor, config=settings)

    def _refusal(self, name: str, refused: KafkaError) -> str:
        layout = self._layout
        asked = f"KAFKA_TOPIC_PARTITIONS={layout.partitions}, KAFKA_REPLICATION_FACTOR={layout.replication_factor}"
        advice = (
            f"Create it yourself (kafka-topics.sh --create --topic {name} --partitions {layout.partitions}"
            f" --replication-factor {layout.replication_factor}), or let Kafka's user create topics."
            if refused.code() in _FORBIDDEN
            else "Change these settings to what the cluster allows."
        )
        why = refused.str().rstrip(".")
        return f"The topic {name} does not exist and Kafka refused to create it ({asked}): {why}. {advice}"

    def _wrong_partitions(self, found: Mapping[str, TopicDescription]) -> Iterator[str]:
        layout = self._layout
        for name, description in found.items():
            partitions = len(description.partitions)
            copies = min(len(partition.replicas) for partition in description.partitions)
            if partitions != layout.partitions:
                yield (
                    f"The topic {name} has {_counted(partitions)} and KAFKA_TOPIC_PARTITIONS asks for"
                    f" {layout.partitions}: {_advice_on_partitions(name, partitions, layout.partitions)}"
                )
            if copies != layout.replication_factor:
                yield (
                    f"The topic {name} has a replication factor of {copies} and KAFKA_REPLICATION_FACTOR asks for"
                    f" {layout.replication_factor}: set KAFKA_REPLICATION_FACTOR={copies}, or change the topic with"
                    " kafka-reassign-partitions.sh."
                )

    def _wrong_limits(self, found: Mapping[str, TopicDescription]) -> Iterator[str]:
        asked = self._layout.max_message_bytes
        names = [self._names[topic] for topic in HOLDING_REVIEWS if self._names[topic] in found]
        if not names:
            return
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        for resource, answer in self._admin.describe_configs(resources, request_timeout=self._left()).items():
            try:
                allowed = int(self._result(answer)["max.message.bytes"].value)
            except KafkaException as error:
                if error.args[0].code() not in _FORBIDDEN:
                    raise
                continue  # only who may describe settings can verify them
            if allowed < asked:
                yield (
                    f"The topic {resource.name} takes messages of {allowed} bytes and needs {asked}:"
                    f" kafka-configs.sh --alter --entity-type topics --entity-name {resource.name}"
                    f" --add-config max.message.bytes={asked}"
                )

    def _identity(self, found: Mapping[str, TopicDescription]) -> str:
        cluster = self._result(self._admin.describe_cluster(request_timeout=self._left())).cluster_id
        return " ".join([cluster, *(str(found[self._names[topic]].topic_id) for topic in TOPIC_OF.values())])

    def _left(self) -> float:
        """Seconds for the next request: librdkafka takes none of zero."""
        return max(self._until - self._clock.monotonic(), 0.1)

    def _result(self, answer: "Future[Any]") -> Any:
        return answer.result(self._left() + GRACE_SECONDS)


def in_sync_of(copies: int) -> int:
    return IN_SYNC_OF_MANY if copies > IN_SYNC_OF_MANY else 1


def _counted(partitions: int) -> str:
    return "1 partition" if partitions == 1 else f"{partitions} partitions"


def _advice_on_partitions(name: str, found: int, asked: int) -> str:
    keep = f"set KAFKA_TOPIC_PARTITIONS={found}"
    if found > asked:
        return f"{keep}, for partitions cannot be taken away."
    return f"{keep}, or add partitions with kafka-topics.sh --alter --topic {name} --partitions {asked}."
