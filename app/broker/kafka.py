"""The broker of many processes: topics of Kafka, read by one consumer group a stage."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from app.broker.base import BrokerUnavailableError
from app.broker.connection import KafkaConnection, TopicLayout
from app.broker.envelope import envelope_of
from app.broker.kafka_consumer import KafkaConsumer, Source
from app.broker.kafka_publisher import KafkaEventPublisher, Record
from app.broker.poison import DeadLetterTopic
from app.broker.topics import KafkaTopics
from app.clock import Clock
from app.models.events import TOPIC_OF, Topic
from app.models.job import Stage, Work

CHECK_SECONDS = 5.0
"""A broker that has not answered by then is away: readiness has to be red within 10 s."""

GRACE_SECONDS = 0.5
"""A check that gives up by itself knows why; one that waits behind another does not."""

GROUP_MEMBER: Mapping[str, Any] = {
    "group_protocol": "classic",
    "partition_assignment_strategy": "cooperative-sticky",
    "enable_auto_commit": False,
    "session_timeout_ms": 6_000,
    "heartbeat_interval_ms": 1_000,
    "max_poll_interval_ms": 60_000,
    "fetch_wait_max_ms": 1_000,
    "queued_min_messages": 1_000,
    "queued_max_messages_kbytes": 16_384,
}
"""What all group members have in common.

The session is as short as brokers allow by default: so long nobody reads what a dead replica had, and so long a
coordinator that was restarted waits for the members of before. Members learn of a rebalance by their heartbeat, and a
cooperative one has two rounds. A member's thread never stops polling: one that has not polled for a minute hangs. An
idle member asks once a second; what comes meanwhile is answered at once.

Membership is not static (`group.instance.id`): such a member does not leave when it closes, so each orderly restart
would leave its partitions unread until its session ends, and an id given to two replicas would stop one of them.
"""


class _Threads(NamedTuple):
    """Whose calls block, so that a check does not wait behind what is sent, nor the other way round."""

    sending: ThreadPoolExecutor
    checking: ThreadPoolExecutor


class KafkaBroker:
    """The broker port over Kafka, with the classic group protocol.

    `layout` (of the topics), `deadline` (seconds for each exchange with Kafka), `buffer` (work of a stage that waits
    in this process), `auto_offset_reset` (where a group without offsets begins: "earliest" or "latest").
    `topic_prefix` lets several installations share a cluster.
    """

    system = "kafka"

    def __init__(
        self,
        connection: KafkaConnection,
        consumer_group: str,
        clock: Clock,
        *,
        layout: TopicLayout,
        topic_prefix: str = "",
        auto_offset_reset: str = "earliest",
        deadline: float = 10.0,
        buffer: int = 64,
    ) -> None:
        self._connection = connection
        self._group = consumer_group
        self._clock = clock
        self._auto_offset_reset = auto_offset_reset
        self._deadline = deadline
        self._buffer = buffer
        self._topics = KafkaTopics(connection, layout, clock, prefix=topic_prefix, deadline=deadline)
        self._publisher = KafkaEventPublisher(connection, clock, deadline=deadline)
        self._dead_letters = DeadLetterTopic(self._publisher, self.topic(Topic.DEAD_LETTERS), clock)
        self._consumers: dict[Stage, KafkaConsumer] = {}
        self._threads: _Threads | None = None

    def topic(self, topic: Topic) -> str:
        """Its name on the cluster."""
        return self._topics.name(topic)

    def group(self, stage: Stage) -> str:
        """One for each stage: replicas with different roles then do not disturb each other when one restarts."""
        return f"{self._group}-{stage}"

    async def start(self) -> None:
        if self._threads is None:
            self._threads = _Threads(
                ThreadPoolExecutor(1, thread_name_prefix="kafka-publisher"),
                ThreadPoolExecutor(1, thread_name_prefix="kafka-check"),
            )

    async def prepare(self) -> str:
        """The identity: the cluster's id and those of the work topics. Within the deadline."""
        return await asyncio.to_thread(self._topics.prepare)

    async def check(self) -> None:
        threads = self._open()
        try:
            async with asyncio.timeout(CHECK_SECONDS + GRACE_SECONDS):
                await asyncio.get_running_loop().run_in_executor(
                    threads.checking, self._publisher.ask, self.topic(Topic.FETCH_ACCOUNTS), CHECK_SECONDS
                )
        except TimeoutError:
            raise BrokerUnavailableError(f"Kafka did not answer within {CHECK_SECONDS:g} s.") from None

    async def close(self) -> None:
        """Within twice the deadline, even while Kafka does not answer."""
        threads, self._threads = self._threads, None
        if threads is not None:
            async with asyncio.TaskGroup() as closing:
                for consumer in self._consumers.values():
                    closing.create_task(consumer.close(self._deadline))
            self._consumers.clear()
            await asyncio.to_thread(self._publisher.flush)
            await asyncio.to_thread(self._topics.close)
            for executor in threads:
                executor.shutdown(wait=False)

    async def publish(self, works: Sequence[Work]) -> None:
        threads = self._open()
        if works:
            records = [self._record(work) for work in works]
            await asyncio.get_running_loop().run_in_executor(threads.sending, self._publisher.send, records)

    def unsent(self) -> dict[str, int]:
        return {"work": self._publisher.unsent}

    def consumer(self, stage: Stage) -> KafkaConsumer:
        if stage not in self._consumers:
            source = Source(self._group_settings(stage), self.topic(TOPIC_OF[stage]), stage)
            self._consumers[stage] = KafkaConsumer(source, self._dead_letters, self._clock, buffer=self._buffer)
        return self._consumers[stage]

    def _open(self) -> _Threads:
        if self._threads is None:
            raise BrokerUnavailableError("The broker is closed.")
        return self._threads

    def _group_settings(self, stage: Stage) -> dict[str, Any]:
        return self._connection.settings(
            group_id=self.group(stage),
            **GROUP_MEMBER,
            auto_offset_reset=self._auto_offset_reset,
            socket_timeout_ms=int(self._deadline * 1000),
        )

    def _record(self, work: Work) -> Record:
        envelope = envelope_of(work, self._clock.now())
        headers = {
            "message_id": envelope.message_id,
            "type": envelope.message.type,
            "content-type": "application/json",
        }
        if work.traceparent:
            headers["traceparent"] = work.traceparent
        value = envelope.model_dump_json().encode()
        return Record(self.topic(envelope.topic), envelope.key.encode(), value, headers)
