"""Messages to Kafka. Everything here may block and is called off the event loop; every wait has a deadline."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock

from confluent_kafka import KafkaError, KafkaException, Producer

from app.broker.base import BrokerUnavailableError
from app.broker.client_log import client_log
from app.broker.connection import KafkaConnection, Trouble
from app.clock import Clock

POLL_SECONDS = 0.1
"""How long one call into librdkafka may block: closing waits for it."""

PURGED_SECONDS = 1.0
"""For the answers to what a producer had that is given up: they are there, and one call may not bring all of them."""

ASKED_TIMES = 2
"""How often a question is put within its time."""

Delivered = Callable[[KafkaError | None], None]


@dataclass(frozen=True, slots=True)
class Record:
    """One message to send. Header values are text; `key` decides the partition, as a Java client would choose it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: dict[str, str]


class KafkaEventPublisher:
    """One idempotent producer (acks=all). Thread-safe. `deadline` (seconds) bounds each send."""

    def __init__(self, connection: KafkaConnection, clock: Clock, *, deadline: float) -> None:
        self._clock = clock
        self._deadline = deadline
        self._settings = connection.settings(
            enable_idempotence=True,
            compression_type="zstd",
            partitioner="murmur2_random",
            message_timeout_ms=int(deadline * 1000),
            error_cb=self._note_error,
        )
        self._trouble = Trouble()
        self._producer: Producer | None = None
        self._broken = False
        self._replacing = RLock()

    @property
    def unsent(self) -> int:
        """Messages that are on their way, or whose fate nobody has asked for yet."""
        return 0 if self._producer is None else len(self._producer)

    def send(self, records: Sequence[Record]) -> None:
        """Returns when the brokers have all of them, in their replicas; raises `BrokerUnavailableError` else.

        What failed may still arrive, or have arrived.
        """
        results: list[KafkaError | None] = []
        until = self._clock.monotonic() + self._deadline
        self._trouble.forget()
        for record in records:
            self._produce(record, results.append, until)
        while len(results) < len(records) and self._clock.monotonic() < until:
            self.serve(POLL_SECONDS)
        failed = [error for error in results if error is not None]
        if failed:
            reason = self._trouble.explain(KafkaException(failed[0]))
            raise BrokerUnavailableError(f"Kafka did not take {len(failed)} of {len(records)} messages: {reason}")
        if len(results) < len(records):
            raise BrokerUnavailableError(f"Kafka: {self._trouble.explain()}")

    def send_soon(self, record: Record, delivered: Delivered) -> None:
        """Without waiting: `delivered` is called from a later `serve` of any thread, with the error or None."""
        self._produce(record, delivered, self._clock.monotonic())

    def serve(self, seconds: float = 0.0) -> None:
        """Let librdkafka report what was delivered; blocks for at most `seconds`."""
        with self._noting_what_is_fatal():
            if self._producer is not None:
                self._producer.poll(seconds)

    def ask(self, topic: str, seconds: float) -> None:
        """Returns when Kafka has answered a question; raises `BrokerUnavailableError` when it does not in time.

        A question that one broker died with waits for that broker: it is asked again, and goes to one that lives.
        """
        producer = self._usable()
        self._trouble.forget()
        for left in reversed(range(ASKED_TIMES)):
            try:
                producer.list_topics(topic, timeout=seconds / ASKED_TIMES)
            except KafkaException as error:
                self.serve()  # what it has to say of its connections
                if not left:
                    raise BrokerUnavailableError(f"Kafka: {self._trouble.explain(error)}") from error
            else:
                return

    def flush(self) -> None:
        """Waits until what is on its way has arrived or failed, not beyond the deadline."""
        with self._noting_what_is_fatal():
            if self._producer is not None:
                self._producer.flush(self._deadline)

    def _produce(self, record: Record, delivered: Delivered, until: float) -> None:
        while True:
            try:
                self._usable().produce(
                    record.topic,
                    record.value,
                    record.key,
                    headers=dict(record.headers),
                    on_delivery=lambda error, _message: delivered(error),
                )
            except BufferError:
                if self._clock.monotonic() >= until:
                    raise BrokerUnavailableError("Kafka takes messages too slowly: the buffer is full.") from None
                self.serve(POLL_SECONDS)
            except KafkaException as error:
                self._note_error(error.args[0])
                raise BrokerUnavailableError(f"Kafka: {error.args[0].str()}") from error
            else:
                return

    def _usable(self) -> Producer:
        """An idempotent producer that met a fatal error never sends again: another takes its place.

        What it still had is answered first: whoever waits for it would wait for ever.
        """
        with self._replacing:
            if self._producer is not None and self._broken:
                self._give_up(self._producer)
                self._producer = None
            if self._producer is None:
                self._broken = False
                self._producer = Producer(self._settings, logger=client_log())
            return self._producer

    def _give_up(self, producer: Producer) -> None:
        producer.purge()
        until = self._clock.monotonic() + PURGED_SECONDS
        while len(producer) and self._clock.monotonic() < until:
            self.serve(POLL_SECONDS)

    @contextmanager
    def _noting_what_is_fatal(self) -> Iterator[None]:
        """confluent-kafka raises a fatal error out of whatever serves the callbacks, and does not call `error_cb`."""
        try:
            yield
        except KafkaException as error:
            self._note_error(error.args[0])

    def _note_error(self, error: KafkaError) -> None:
        self._broken = self._broken or error.fatal() or error.code() == KafkaError._FATAL
        self._trouble(error)
