"""Messages that are no work of ours: they go to the dead-letter topic, byte for byte, and their partition goes on."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from operator import methodcaller

import structlog
from confluent_kafka import KafkaError, Message

from app.broker.base import BrokerUnavailableError
from app.broker.client_log import SparseLog
from app.broker.kafka_publisher import KafkaEventPublisher, Record
from app.clock import Clock
from app.telemetry.events import Event
from app.telemetry.tracing import parse_traceparent

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0
"""Between two attempts to write what the dead-letter topic did not take."""

VALUE_BYTES = 900_000
"""What fits into one message under Kafka's default `max.message.bytes`, with room for key and headers.

The rest is cut off, and the header `value_bytes` tells how much there was.
"""

KEY_BYTES = 10_000

CAUSE_LENGTH = 500
"""Characters: what is wrong may quote the message, which may be large."""

_headers = methodcaller("headers")
"""`message.headers()`, called so that what it answers is looked at: see `traceparent_of`."""


@dataclass(frozen=True, slots=True)
class Poison:
    """A message and why it is none of ours. `done` is called, in any thread, once the dead-letter topic has it.

    `traceparent`: the span that its sender names. A message is asked for its headers only once: see `traceparent_of`.
    """

    message: Message
    cause: str
    done: Callable[[], None]
    traceparent: str | None = None


class DeadLetterTopic:
    """Where poison goes, once: its offset is not finished before, and a message that failed is sent again."""

    def __init__(self, publisher: KafkaEventPublisher, topic: str, clock: Clock) -> None:
        self._publisher = publisher
        self._topic = topic
        self._clock = clock
        self._sparse = SparseLog(clock)
        self._again: deque[Poison] = deque()
        self._next_attempt = 0.0

    def bury(self, poison: Poison) -> None:
        """Never raises, never waits; somebody has to call `serve`."""

        def delivered(error: KafkaError | None) -> None:
            if error is None:
                poison.done()
            else:
                self._postpone(poison, error.str())

        try:
            self._publisher.send_soon(_record(self._topic, poison), delivered)
        except BrokerUnavailableError as error:
            self._postpone(poison, str(error))

    def serve(self) -> None:
        """Learn what was delivered, and try again what was not. Each stage's thread calls this, maybe at once."""
        self._publisher.serve()
        if self._clock.monotonic() >= self._next_attempt:
            for _ in range(len(self._again)):
                try:
                    poison = self._again.popleft()
                except IndexError:  # another thread was faster
                    return
                self.bury(poison)

    def flush(self) -> None:
        """Before the last commit of a consumer: what the topic has by then does not come again."""
        self._publisher.flush()

    def _postpone(self, poison: Poison, reason: str) -> None:
        if line := self._sparse.new(Event.KAFKA_DEAD_LETTER_NOT_TAKEN, self._topic, reason):
            log.warning(Event.KAFKA_DEAD_LETTER_NOT_TAKEN, **line)
        self._next_attempt = self._clock.monotonic() + RETRY_SECONDS
        self._again.append(poison)


def _record(topic: str, poison: Poison) -> Record:
    message, key, value = poison.message, poison.message.key(), poison.message.value()
    source = f"{message.topic()}_{message.partition()}_{message.offset()}"
    headers = {
        "message_id": source,
        "type": "poison_message",
        "cause": readable(poison.cause),
        "source_topic": str(message.topic()),
        "source_partition": str(message.partition()),
        "source_offset": str(message.offset()),
    }
    if value is not None and len(value) > VALUE_BYTES:
        headers["value_bytes"] = str(len(value))
    if poison.traceparent:
        headers["traceparent"] = poison.traceparent
    return Record(
        topic, None if key is None else key[:KEY_BYTES], None if value is None else value[:VALUE_BYTES], headers
    )


def traceparent_of(message: Message) -> str | None:
    """The span that its sender names, if it is one. Once for each message.

    The name of a header may be any bytes. For one that is not UTF-8, confluent-kafka sets an error and returns a list
    with a hole in it nevertheless, and keeps that list: the next look at the headers would get it. CPython makes a
    SystemError of this where it looks at the result of a call; its interpreter, once a plain `message.headers()` has
    run a few times, does not look any more, and who touches the hole ends the process.
    """
    try:
        value = dict(_headers(message) or ()).get("traceparent")
    except (SystemError, UnicodeError):
        return None
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else None
    return text if parse_traceparent(text) else None


def readable(cause: str) -> str:
    """Text for a header: bounded, on one line, and without what no UTF-8 can hold."""
    printable = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in cause[:CAUSE_LENGTH])
    return printable if len(cause) <= CAUSE_LENGTH else f"{printable}…"
