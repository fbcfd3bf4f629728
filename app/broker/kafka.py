"""The broker of many processes: topics of Kafka, read by one consumer group a stage."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic

from app.broker.base import BrokerUnavailableError
from app.broker.envelope import envelope_of
from app.broker.kafka_consumer import KafkaConsumer, Source
from app.broker.kafka_publisher import KafkaEventPublisher, Record
from app.broker.poison import DeadLetterTopic
from app.clock import Clock
from app.models.events import TOPIC_OF, Topic
from app.models.job import Stage, Work


class KafkaBroker:
    """The broker port over Kafka, with the classic group protocol.

    `partitions` (of topics created at start), `deadline` (seconds for each exchange with Kafka), `buffer` (work of a
    stage that waits in this process). `topic_prefix` lets several installations share a cluster.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        consumer_group: str,
        clock: Clock,
        *,
        partitions: int = 12,
        topic_prefix: str = "",
        deadline: float = 10.0,
        buffer: int = 64,
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._group = consumer_group
        self._clock = clock
        self._partitions = partitions
        self._prefix = topic_prefix
        self._deadline = deadline
        self._buffer = buffer
        self._publisher = KafkaEventPublisher(bootstrap_servers, clock, deadline=deadline)
        self._dead_letters = DeadLetterTopic(self._publisher, self.topic(Topic.DEAD_LETTERS), clock)
        self._consumers: dict[Stage, KafkaConsumer] = {}
        self._sender: ThreadPoolExecutor | None = None

    def topic(self, topic: Topic) -> str:
        """Its name on the cluster."""
        return self._prefix + topic

    async def start(self) -> None:
        """Create the topics that do not exist; raises `BrokerUnavailableError`, and may be called again."""
        if self._sender is None:
            await asyncio.to_thread(self._create_topics)
            self._sender = ThreadPoolExecutor(1, thread_name_prefix="kafka-publisher")

    async def close(self) -> None:
        """Within twice the deadline, even while Kafka does not answer."""
        sender, self._sender = self._sender, None
        if sender is not None:
            async with asyncio.TaskGroup() as closing:
                for consumer in self._consumers.values():
                    closing.create_task(consumer.close(self._deadline))
            self._consumers.clear()
            await asyncio.to_thread(self._publisher.flush)
            sender.shutdown(wait=False)

    async def publish(self, works: Sequence[Work]) -> None:
        if self._sender is None:
            raise BrokerUnavailableError("The broker is closed.")
        if works:
            records = [self._record(work) for work in works]
            await asyncio.get_running_loop().run_in_executor(self._sender, self._publisher.send, records)

    def consumer(self, stage: Stage) -> KafkaConsumer:
        if stage not in self._consumers:
            source = Source(self._group_settings(stage), self.topic(TOPIC_OF[stage]), stage)
            self._consumers[stage] = KafkaConsumer(source, self._dead_letters, self._clock, buffer=self._buffer)
        return self._consumers[stage]

    def _group_settings(self, stage: Stage) -> dict[str, Any]:
        """A group for each stage: replicas with different roles then do not disturb each other when one restarts."""
        return {
            "bootstrap.servers": self._bootstrap_servers,
            "group.id": f"{self._group}-{stage}",
            "group.protocol": "classic",
            "partition.assignment.strategy": "cooperative-sticky",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 1_000,  # members learn of a rebalance by it; a cooperative one has two rounds
            "socket.timeout.ms": int(self._deadline * 1000),
        }

    def _record(self, work: Work) -> Record:
        envelope = envelope_of(work, self._clock.now())
        headers = {
            "message_id": envelope.message_id,
            "type": envelope.message.type,
            "content-type": "application/json",
        }
        value = envelope.model_dump_json().encode()
        return Record(self.topic(envelope.topic), envelope.key.encode(), value, headers)

    def _create_topics(self) -> None:
        """Asks first, so that a user who may not create topics can run on those that exist."""
        admin = AdminClient({"bootstrap.servers": self._bootstrap_servers}, logger=logging.getLogger("librdkafka"))
        try:
            existing = admin.list_topics(timeout=self._deadline).topics
            missing = [name for name in map(self.topic, Topic) if name not in existing]
            if missing:
                self._create(admin, missing)
        except KafkaException as error:
            raise BrokerUnavailableError(f"Kafka at {self._bootstrap_servers}: {error.args[0].str()}") from error

    def _create(self, admin: AdminClient, names: Sequence[str]) -> None:
        created = admin.create_topics(
            [NewTopic(name, num_partitions=self._partitions) for name in names], request_timeout=self._deadline
        )
        for future in created.values():
            try:
                future.result(self._deadline)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
