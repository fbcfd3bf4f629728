"""Records to Kafka in transactions, each with the position it came to: what a reader sees and how far we are is one.

Positions are kept as a group offset committed inside each transaction, on partition 0 of the topic. What librdkafka
calls fenced is another producer of the same `transactional.id`, or a transaction that Kafka ended for its age.
"""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from app.broker.base import BrokerUnavailableError
from app.broker.client_log import client_log
from app.broker.connection import KafkaConnection, TopicLayout, Trouble
from app.broker.daemon import DaemonExecutor
from app.clock import Clock
from app.crash import CrashPoint, crash_point

T = TypeVar("T")

TRANSACTION_MILLISECONDS = 5_000
"""Readers wait for the end of a transaction whose producer died: for a successor, or for this."""

POLL_SECONDS = 0.1

CLOSE_SECONDS = 2.0
"""An end that takes longer goes on by itself."""

QUIET = {"log_level": 5}
"""Notices and worse: at each end of a client, librdkafka has some information about its queues."""

GRACE_SECONDS = 1.0
"""librdkafka ends a request at its timeout by itself; only if it did not would a wait for it last this much longer."""

LONGEST_CALL = 1.5
"""Deadlines that a send takes at most, its abort included; a call that takes longer is taken for one that never ends.

librdkafka's `rd_kafka_send_offsets_to_transaction` ignores its timeout while it looks for the group's coordinator, and
then waits for ever (its issues 5456 and 5511, found in 2.16.0 when a broker came back within seconds).
"""

_FENCED = (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)

_REFUSALS = (
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_RECORD,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.INVALID_TRANSACTION_TIMEOUT,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
)


class FencedError(Exception):
    """Another took this producer's place, or Kafka ended its transaction: nothing of it is seen. Step down."""


class RefusedError(Exception):
    """Kafka refuses these records, or this user, until somebody changes something. Nothing of the batch is seen."""


Headers = list[tuple[str, str | bytes | None]]


class OutRecord(NamedTuple):
    """A record to send; `key` decides the partition, as a Java client would choose it. Header values are UTF-8.

    No value: a tombstone of the key.
    """

    topic: str
    key: bytes
    value: bytes | None
    headers: Headers


class Reached(NamedTuple):
    """The topic as it is now, by Kafka's ids, and the last position committed to it; None: none is known."""

    cluster_id: str
    topic_id: str
    position: int | None


class TransactionalProducer:
    """One life of the producer `name`, its `transactional.id` and its group: after an error, the next has a new object.

    All that blocks runs in a thread of its own, which may outlive `close`: a call that never ends is left there, with
    its client, and the next object fences it. `topic`: the one whose identity matters. `deadline`: seconds for each
    method.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        name: str,
        topic: str,
        layout: TopicLayout,
        clock: Clock,
        *,
        deadline: float = 10.0,
    ) -> None:
        self._connection = connection
        self._name = name
        self._topic = topic
        self._max_message_bytes = layout.max_message_bytes
        self._clock = clock
        self._deadline = deadline
        self._thread: DaemonExecutor | None = None
        self._producer: Producer | None = None
        self._admin: AdminClient | None = None
        self._group: object = None
        self._trouble = Trouble()

    @property
    def unsent(self) -> int:
        """Messages of the batch on its way that the brokers have not confirmed."""
        producer = self._producer
        return 0 if producer is None else len(producer)

    async def start(self) -> Reached:
        """Once: fence whoever had the name, end what it left open, and only then look how far it came.

        Raises `BrokerUnavailableError`, `RefusedError`.
        """
        self._thread = DaemonExecutor("kafka-transactions")
        return await self._run(self._start)

    async def send(self, records: Iterable[OutRecord], position: int) -> None:
        """All of the records and the position, or nothing. The records are made in the producer's thread.

        Raises `FencedError`, `RefusedError`, `BrokerUnavailableError`; only the last leaves it open whether they were
        committed: the next one's `start` finds out.
        """
        await self._run(lambda: self._send(records, position))

    async def identity(self) -> tuple[str, str]:
        """The cluster's and the topic's id now. Raises `BrokerUnavailableError`, `RefusedError`."""
        return await self._run(lambda: self._identity(self._until()))

    async def close(self) -> None:
        """Idempotent. What is being sent goes on without us, and the next one's `start` fences it."""
        thread, self._thread = self._thread, None
        if thread is not None:
            closing = asyncio.get_running_loop().run_in_executor(thread, self._forget)
            await asyncio.wait([closing], timeout=CLOSE_SECONDS)
            thread.shutdown(wait=False)

    async def _run(self, call: Callable[[], T]) -> T:
        if self._thread is None:
            raise BrokerUnavailableError("The producer is closed.")
        patience = LONGEST_CALL * self._deadline + GRACE_SECONDS
        try:
            async with asyncio.timeout(patience):
                return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except TimeoutError as error:
            raise BrokerUnavailableError(f"Kafka's client has not come back from a call for {patience:g} s.") from error

    def _until(self) -> float:
        return self._clock.monotonic() + self._deadline

    def _left(self, until: float) -> float:
        """Seconds for the next request: librdkafka takes none of zero."""
        return max(until - self._clock.monotonic(), POLL_SECONDS)

    def _start(self) -> Reached:
        until = self._until()
        settings = self._connection.settings(
            transactional_id=self._name,
            transaction_timeout_ms=TRANSACTION_MILLISECONDS,
            acks="all",
            compression_type="zstd",
            partitioner="murmur2_random",
            message_max_bytes=self._max_message_bytes,
            linger_ms=20,
            error_cb=self._trouble,
        )
        try:
            self._producer = Producer(settings | QUIET, logger=client_log())
            self._producer.init_transactions(self._left(until))
            self._admin = AdminClient(self._connection.settings() | QUIET, logger=client_log())
            position = self._committed(until)
            return Reached(*self._identity(until), position)
        except (KafkaException, FutureTimeoutError) as error:
            raise self._told(error) from error

    def _committed(self, until: float) -> int | None:
        """The group's offset. Asked `read_committed`, Kafka gives none while a transaction that has one is ending."""
        settings = self._connection.settings(
            group_id=self._name, enable_auto_commit=False, isolation_level="read_committed"
        )
        group = Consumer(settings | QUIET, logger=client_log())
        try:
            self._group = group.consumer_group_metadata()
            (found,) = group.committed([TopicPartition(self._topic, 0)], self._left(until))
        finally:
            group.close()
        if found.error is not None:
            raise KafkaException(found.error)
        return found.offset if found.offset >= 0 else None

    def _identity(self, until: float) -> tuple[str, str]:
        if self._admin is None:
            raise BrokerUnavailableError("The producer is closed.")
        asked = TopicCollection([self._topic])
        try:
            answer = self._admin.describe_topics(asked, request_timeout=self._left(until))[self._topic]
            topic_id = str(answer.result(self._left(until) + GRACE_SECONDS).topic_id)
            cluster = self._admin.describe_cluster(request_timeout=self._left(until))
            return str(cluster.result(self._left(until) + GRACE_SECONDS).cluster_id), topic_id
        except (KafkaException, FutureTimeoutError) as error:
            raise self._told(error) from error

    def _send(self, records: Iterable[OutRecord], position: int) -> None:
        producer = self._producer
        if producer is None:
            raise BrokerUnavailableError("The producer is not started.")
        until = self._until()
        try:
            producer.begin_transaction()
            for topic, key, value, headers in records:
                try:
                    producer.produce(topic, value, key, headers=headers)
                except BufferError:
                    self._produce_when_there_is_room(producer, OutRecord(topic, key, value, headers), until)
            crash_point(CrashPoint.BATCH_PRODUCED)
            offset = TopicPartition(self._topic, 0, position)
            producer.send_offsets_to_transaction([offset], self._group, self._left(until))
            crash_point(CrashPoint.BATCH_UNCOMMITTED)
            producer.commit_transaction(self._left(until))
            crash_point(CrashPoint.BATCH_COMMITTED)
        except KafkaException as error:
            fenced = self._abandon()
            raise fenced or self._told(error) from error
        except BaseException:
            self._abandon()
            raise

    def _produce_when_there_is_room(self, producer: Producer, record: OutRecord, until: float) -> None:
        topic, key, value, headers = record
        while True:
            producer.poll(POLL_SECONDS)
            try:
                producer.produce(topic, value, key, headers=headers)
            except BufferError:
                if self._clock.monotonic() >= until:
                    raise BrokerUnavailableError("Kafka takes messages too slowly: the buffer is full.") from None
            else:
                return

    def _abandon(self) -> FencedError | None:
        """Abort, so that readers go on, and forget the producer. What was wrong may come out only here: fenced."""
        producer, fenced = self._producer, None
        try:
            if producer is not None:
                producer.abort_transaction(self._deadline / 2)
        except KafkaException as error:
            told = self._told(error)
            fenced = told if isinstance(told, FencedError) else None
        self._forget()
        return fenced

    def _forget(self) -> None:
        producer, self._producer, self._admin = self._producer, None, None
        if producer is not None:
            with suppress(KafkaException):
                producer.purge()

    def _told(self, error: KafkaException | FutureTimeoutError) -> Exception:
        """Kafka's error as ours."""
        if isinstance(error, FutureTimeoutError):
            return BrokerUnavailableError(f"Kafka: {self._trouble.explain()}")
        found = error.args[0]
        if found.code() in _FENCED:
            return FencedError(found.str())
        if found.code() in _REFUSALS:
            return RefusedError(f"Kafka: {found.str()}")
        return BrokerUnavailableError(f"Kafka: {self._trouble.explain(error)}")
