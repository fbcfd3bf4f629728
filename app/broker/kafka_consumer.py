"""One consumer group member for one stage: a thread that never stops polling, and its event loop's view of it.

The thread alone touches librdkafka's consumer. It hands deliveries to the loop and takes acknowledgements back; when
more waits than workers soon take, partitions pause and polling goes on, so a slow page never costs a rebalance.
"""

import asyncio
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, cast

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from app.broker.base import BrokerUnavailableError, Delivery
from app.broker.client_log import SparseLog, client_log
from app.broker.envelope import PoisonMessageError, decode
from app.broker.offsets import OffsetTracker
from app.broker.poison import DeadLetterTopic, Poison, traceparent_of
from app.broker.waiting import WaitingWork
from app.clock import Clock
from app.models.job import Stage, Work
from app.telemetry.events import Event

log = structlog.get_logger(__name__)

COMMIT_SECONDS = 1.0
"""What finishes within this time is committed together; after a crash it comes once more, and claims nothing."""

POLL_SECONDS = 0.5
"""How long a poll waits for messages: closing waits for it, and so does what is finished, to be committed."""

FULL_SECONDS = 1.0
"""So long a full buffer is waited for without polling; then partitions pause, which takes librdkafka up to a second to
undo. Pausing at once held workers that are quick to a hundred messages a second."""

FULL_POLL_SECONDS = 0.01
"""How often a full buffer is looked at. Paused or not: workers that took what waits want more soon."""

MAX_POLL_RECORDS = 100
"""Handed to the event loop together."""


class Position(NamedTuple):
    """Where on its topic a message lies."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Source:
    """What a consumer reads: one stage's topic, by librdkafka's settings for a group member."""

    settings: Mapping[str, Any]
    topic: str
    stage: Stage


class KafkaConsumer:
    """The event loop's side. Reading begins with the first `receive`; after a failure, with the next."""

    def __init__(self, source: Source, dead_letters: DeadLetterTopic, clock: Clock, *, buffer: int) -> None:
        """`buffer`: as much work may wait here; then partitions pause until half of it is taken."""
        self._source = source
        self._dead_letters = dead_letters
        self._clock = clock
        self._buffer = buffer
        self._waiting = WaitingWork(clock.monotonic)
        self._member: _Member | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def receive(self, limit: int) -> list[Delivery]:
        self._begin()
        taken = await self._waiting.take(limit)
        self._count_taken(len(taken))
        return taken

    def others_wait(self, job_id: str) -> bool:
        return self._waiting.others(job_id)

    def waiting(self) -> int:
        return len(self._waiting)

    def acknowledge(self, delivery: Delivery) -> None:
        self._waiting.finished(delivery)
        if self._member is not None and isinstance(delivery.position, Position):
            self._member.finished.put(delivery.position)

    async def close(self, deadline: float) -> None:
        """Commits what is acknowledged and leaves the group, so that others need not wait for the session to end."""
        if self._member is not None:
            self._member.closing.set()
            await asyncio.to_thread(self._member.join, deadline)

    def from_thread(self, function: Callable[..., None], *arguments: object) -> None:
        """Have the event loop call a function of this consumer; a loop that is closed needs nothing any more."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *arguments)

    def put(self, deliveries: list[Delivery]) -> None:
        self._waiting.put(deliveries)

    def revoke(self, partitions: Collection[int]) -> None:
        """Work that nobody has taken yet is another member's now. What is held goes on: its lease decides."""
        removed = self._waiting.remove(
            lambda delivery: isinstance(delivery.position, Position) and delivery.position.partition in partitions
        )
        self._count_taken(removed)

    def fail(self, reason: str) -> None:
        self._member = None
        self._waiting.remove(lambda _delivery: True)
        self._waiting.fail(BrokerUnavailableError(f"Reading from Kafka ended: {reason}"))

    def _begin(self) -> None:
        if self._member is None:
            self._loop = asyncio.get_running_loop()
            self._member = _Member(self._source, self._dead_letters, self._clock, buffer=self._buffer, owner=self)
            self._member.start()

    def _count_taken(self, number: int) -> None:
        if self._member is not None:
            self._member.taken += number


class _Member(threading.Thread):
    """The thread. `finished` and `closing` are for the event loop to write, and so is `taken`: what left the queue."""

    def __init__(
        self, source: Source, dead_letters: DeadLetterTopic, clock: Clock, *, buffer: int, owner: KafkaConsumer
    ) -> None:
        super().__init__(name=f"kafka-{source.stage}", daemon=True)
        self._settings = source.settings
        self._topic = source.topic
        self._stage = source.stage
        self._dead_letters = dead_letters
        self._clock = clock
        self._buffer = buffer
        self._owner = owner
        self._offsets = OffsetTracker()
        self._committed: dict[int, int] = {}
        self._buried: set[Position] = set()
        self._sparse = SparseLog(clock)
        self._next_commit = 0.0
        self._paused = False
        self._full_since: float | None = None
        self._handed_over = 0
        self.taken = 0
        self.finished: SimpleQueue[Position] = SimpleQueue()
        self.closing = threading.Event()

    def run(self) -> None:
        try:
            settings = dict(self._settings) | {"on_commit": self._note_commit}
            self._consumer = Consumer(settings, logger=client_log())
            self._consumer.subscribe(
                [self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
            )
            self._poll_until_closing()
        except Exception as error:
            log.error(Event.KAFKA_CONSUMER_ENDED, topic=self._topic, error=str(error))
            self._owner.from_thread(self._owner.fail, str(error))

    def _poll_until_closing(self) -> None:
        try:
            while not self.closing.is_set():
                self._dead_letters.serve()
                self._commit_when_due()
                if self._may_poll():
                    self._hand_over(self._read())
                else:
                    self.closing.wait(FULL_POLL_SECONDS)
            self._dead_letters.flush()
            self._commit()
        finally:
            self._consumer.close()

    def _read(self) -> list[Delivery]:
        deliveries: list[Delivery] = []
        message = self._consumer.poll(FULL_POLL_SECONDS if self._paused else POLL_SECONDS)
        left = MAX_POLL_RECORDS
        while message is not None:
            deliveries += self._accept(message)
            left -= 1
            message = self._consumer.poll(0) if left else None
        return deliveries

    def _accept(self, message: Message) -> list[Delivery]:
        """What a message holds for the workers: one delivery, or nothing."""
        error = message.error()
        if error is not None:
            if error.fatal():
                raise KafkaException(error)
            if line := self._sparse.new(Event.KAFKA_CONSUMER_ERROR, self._topic, error.str()):
                log.warning(Event.KAFKA_CONSUMER_ERROR, **line)
            return []
        position = Position(cast(int, message.partition()), cast(int, message.offset()))  # a message read has both
        self._offsets.received(*position)
        traceparent = traceparent_of(message)
        try:
            return [Delivery(self._work(message, traceparent), position)]
        except PoisonMessageError as poison:
            self._buried.add(position)
            self._dead_letters.bury(Poison(message, str(poison), lambda: self.finished.put(position), traceparent))
            return []

    def _work(self, message: Message, traceparent: str | None) -> Work:
        work = decode(message.value())
        if work.stage is not self._stage:
            raise PoisonMessageError(f"Work of the stage {work.stage} does not belong on {self._topic}.")
        return work if traceparent is None else work._replace(traceparent=traceparent)

    def _hand_over(self, deliveries: list[Delivery]) -> None:
        if deliveries:
            self._handed_over += len(deliveries)
            self._owner.from_thread(self._owner.put, deliveries)

    def _may_poll(self) -> bool:
        """Whether there is room, or partitions are paused: what comes then is no message."""
        self._note_finished()
        waiting = self._handed_over - self.taken + len(self._buried)
        if self._paused:
            if waiting <= self._buffer // 2:
                self._consumer.resume(self._consumer.assignment())
                self._paused = False
        elif waiting < self._buffer:
            self._full_since = None
        elif self._has_been_full():
            self._consumer.pause(self._consumer.assignment())
            self._paused = True
        return self._paused or waiting < self._buffer

    def _has_been_full(self) -> bool:
        now = self._clock.monotonic()
        if self._full_since is None:
            self._full_since = now
        return now - self._full_since >= FULL_SECONDS

    def _commit_when_due(self) -> None:
        if self._clock.monotonic() >= self._next_commit:
            self._next_commit = self._clock.monotonic() + COMMIT_SECONDS
            self._commit(asynchronous=True)

    def _commit(self, *, asynchronous: bool = False, partitions: Collection[int] | None = None) -> None:
        """Commit what moved since the last time, of some partitions or of all. A refusal is no harm: see the top."""
        self._note_finished()
        moved = {
            partition: offset
            for partition, offset in self._offsets.positions().items()
            if offset != self._committed.get(partition) and (partitions is None or partition in partitions)
        }
        if not moved:
            return
        offsets = [TopicPartition(self._topic, partition, offset) for partition, offset in moved.items()]
        self._committed |= moved
        try:
            if asynchronous:
                self._consumer.commit(offsets=offsets, asynchronous=True)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as error:
            self._note_commit(error.args[0], offsets)

    def _note_commit(self, error: KafkaError | None, offsets: list[TopicPartition]) -> None:
        """What Kafka did not take is committed again when it is due next."""
        failed = [item for item in offsets if error is not None or item.error is not None]
        for item in failed:
            if self._committed.get(item.partition) == item.offset:
                del self._committed[item.partition]
        if reason := error or next((item.error for item in failed), None):
            self._warn_of_commit(reason)

    def _warn_of_commit(self, reason: KafkaError) -> None:
        if line := self._sparse.new(Event.KAFKA_COMMIT_REFUSED, self._topic, reason.str()):
            log.warning(Event.KAFKA_COMMIT_REFUSED, **line)

    def _note_finished(self) -> None:
        try:
            while True:
                position = self.finished.get_nowait()
                self._buried.discard(position)
                self._offsets.finished(*position)
        except Empty:
            return

    def _assigned(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        """librdkafka takes them on itself; they come unpaused, and so that all are alike the others are resumed."""
        if self._paused:
            self._consumer.resume(self._consumer.assignment())
            self._paused = False

    def _revoked(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(partitions={item.partition for item in partitions})
        self._lost(_consumer, partitions)

    def _lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Others have them already: committing for them would be refused."""
        numbers = {item.partition for item in partitions}
        for number in numbers:
            self._offsets.drop(number)
            self._committed.pop(number, None)
        self._buried = {position for position in self._buried if position.partition not in numbers}
        self._owner.from_thread(self._owner.revoke, numbers)
